"""A small blocking client of one server: one keep-alive socket, our errors raised as our errors."""

from __future__ import annotations

import http.client
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from claudebench.errors import SettingsError, Unavailable, from_wire
from claudebench.store.keys import is_workspace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

TIMEOUT_S = 30.0
LINES = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
TOKEN_VARIABLE = "CLAUDEBENCH_TOKEN"  # noqa: S105 - the name of a variable


def connect(
    url: str, workspace: str | None = None, token_file: Path | str | None = None, *, timeout_s: float = TIMEOUT_S
) -> Client:
    """Return a client that shows the token of a file, or that of the environment.

    Raises:
        SettingsError: the address, the file or the token cannot be used.
    """
    token = _read(token_file) if token_file else os.environ.get(TOKEN_VARIABLE, "")
    if workspace == "":
        raise SettingsError("--workspace is empty; leave it out to mean the server's own")
    return Client(url, workspace=workspace or "", token=token, timeout_s=timeout_s)


def _read(token_file: Path | str) -> str:
    try:
        return Path(token_file).expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"--token-file {token_file} cannot be read: {error}") from None


class Client:
    """Calls commands of the server at `url`; `instance` names the caller in every call."""

    def __init__(
        self, url: str, *, workspace: str = "", instance: str = "", token: str = "", timeout_s: float = TIMEOUT_S
    ) -> None:
        """Take the address; nothing is sent yet.

        Raises:
            SettingsError: the address, the workspace or the token cannot be used.
        """
        parts = urlsplit(url)
        try:
            line = LINES[parts.scheme]
            self._connection = line(parts.hostname or "127.0.0.1", parts.port, timeout=timeout_s)
        except (KeyError, ValueError):
            raise SettingsError(f"--url {url[:100]!r} cannot be used; write it like http://127.0.0.1:7420") from None
        if workspace and not is_workspace(workspace):
            raise SettingsError(f"--workspace {workspace[:60]!r} is none; a workspace is named [a-z0-9-]{{1,40}}")
        if not token.isascii() or not token.isprintable():
            raise SettingsError("the token is not one line of ASCII; check the file or variable that holds it")
        self.url = url.rstrip("/")
        self._root = f"{parts.path.rstrip('/')}{f'/w/{workspace}' if workspace else ''}"
        self._path = f"{self._root}/rpc"
        self._headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        self._metadata = {"instanceId": instance} if instance else {}

    def call(self, method: str, about: dict[str, str] | None = None, /, **params: Any) -> Any:
        """Run a command and return its result; `about` is the metadata of this one call.

        Raises:
            ClaudeBenchError: the server's error, or Unavailable when it cannot be reached.
        """
        metadata = self._metadata | (about or {})
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params, "metadata": metadata}
        body = self.post(self._path, json.dumps(request).encode())
        try:
            reply = json.loads(body)
            if "result" in reply:
                return reply["result"]
            error = from_wire(reply.get("error", reply))
        except (ValueError, TypeError, AttributeError):
            raise self._away("what answers there is no ClaudeBench server") from None
        raise error

    def follow(self, types: Iterable[str], begin: str) -> Iterator[dict[str, str]]:
        """Yield the blocks of the event stream, from behind a position ('' for from now on), by their fields.

        Raises:
            ClaudeBenchError: the server's refusal, or Unavailable when the stream ends.
        """
        asked = urlencode({name: value for name, value in (("types", ",".join(types)), ("from", begin)) if value})
        self._connect()
        try:
            self._connection.request("GET", f"{self._root}/events?{asked}", headers=self._headers)
            answer = self._connection.getresponse()
            if answer.status != http.client.OK:
                raise from_wire(json.loads(answer.read()))
            yield from _blocks(answer)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise self._away(f"the server went away ({error})") from None
        finally:
            self._connection.close()
        raise self._away("the server ended the stream")

    def post(self, path: str, body: bytes) -> bytes:
        """Send a body and return the answer's."""
        self._connect()
        try:
            self._connection.request("POST", path, body, self._headers)
            answer: bytes = self._connection.getresponse().read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise self._away(f"the server went away ({error})", done="unknown") from None
        return answer

    def _connect(self) -> None:
        try:
            if self._connection.sock is None:
                self._connection.connect()
        except (OSError, UnicodeError) as error:
            raise self._away(f"no server answers ({error})") from None

    def _away(self, what: str, done: Any = "not_done") -> Unavailable:
        message = f"{self.url}: {what}; start one with: claudebench up"
        return Unavailable(message, outcome=done, reason="server")

    def close(self) -> None:
        """Let the socket go."""
        self._connection.close()


def _blocks(answer: Iterable[bytes]) -> Iterator[dict[str, str]]:
    """Yield the blocks of server-sent events; a comment has no field that counts."""
    fields: dict[str, str] = {}
    for line in answer:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name:
            fields[name] = value
        else:
            yield fields
            fields = {}
