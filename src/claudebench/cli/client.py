"""A small blocking client of one server: one keep-alive socket, our errors raised as our errors."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

from claudebench.errors import SettingsError, Unavailable, from_wire

TIMEOUT_S = 30.0


class Client:
    """Calls commands of the server at `url`; `instance` names the caller in every call."""

    def __init__(self, url: str, *, instance: str = "", token: str = "", timeout_s: float = TIMEOUT_S) -> None:
        """Take the address; nothing is sent yet."""
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError as error:
            raise SettingsError(f"--url {url[:100]!r} cannot be used: {error}") from None
        self.url = url.rstrip("/")
        self._path = f"{parts.path.rstrip('/')}/rpc"
        self._connection = http.client.HTTPConnection(parts.hostname or "127.0.0.1", port, timeout=timeout_s)
        self._headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        self._metadata = {"instanceId": instance} if instance else {}

    def call(self, method: str, /, **params: Any) -> Any:
        """Run a command and return its result.

        Raises:
            ClaudeBenchError: the server's error, or Unavailable (outcome unknown) when it cannot be reached.
        """
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params, "metadata": self._metadata}
        reply = json.loads(self.post(self._path, json.dumps(request).encode()))
        if "result" in reply:
            return reply["result"]
        raise from_wire(reply.get("error", reply))

    def post(self, path: str, body: bytes) -> bytes:
        """Send a body and return the answer's."""
        try:
            self._connection.request("POST", path, body, self._headers)
            return self._connection.getresponse().read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            message = f"no server answers at {self.url} ({error}); start one with: claudebench up"
            raise Unavailable(message, outcome="unknown", reason="server") from None

    def close(self) -> None:
        """Let the socket go."""
        self._connection.close()
