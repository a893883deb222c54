"""The ASGI application: which door a path leads to. No middleware; every request passes the gate once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from claudebench.errors import ClaudeBenchError, NotFound, Unauthorized, Unavailable, UnknownCommand
from claudebench.rpc.dispatcher import internal
from claudebench.transports import commands, hooks, http, jsonrpc, openrpc, sse, websocket
from claudebench.transports.entry import Entry
from claudebench.transports.http import Refused
from claudebench.transports.response import Response, encode
from claudebench.transports.sockets import Sockets

if TYPE_CHECKING:
    from claudebench.app import App
    from claudebench.rpc.context import Role
    from claudebench.transports.entry import Enter
    from claudebench.transports.http import Gate, Receive, Scope, Send

STARTING_RETRY_MS = 250
READABLE = frozenset({"/health", "/metrics", "/openrpc.json"})
HOOKS = "/hooks/"
LIVE = frozenset({websocket.PATH, sse.PATH})
NAMELESS = "/"  # no workspace can be called that


class Doors:
    """The application that a server such as uvicorn runs."""

    def __init__(self, app: App) -> None:
        """Take the composed app; until it is ready every door but liveness answers 503."""
        self._app = app
        self._ends = False
        self._bodies = http.Bodies()
        self._gate: Gate = http.Gate(app.settings, lambda: app.operator_token)
        self._sockets = Sockets(app.settings.max_sockets)
        app.sockets_open = self._sockets.counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection (ASGI); what nobody foresaw is answered with a reference to the log."""
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send)
            return
        if scope["type"] != "http":
            raise RuntimeError(f"no door for {scope['type']}")
        try:
            if scope["method"] == "GET" and scope["path"].endswith(sse.PATH):
                response = await self._stream(scope, receive, send)
                if response is None:
                    return
            else:
                response = await self._respond(scope, receive)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - the last resort
            response = http.problem(self._unforeseen(scope["path"], error))
        await http.answer(response, scope, send)

    def _unforeseen(self, path: str, error: BaseException) -> ClaudeBenchError:
        if self._ends and isinstance(error, asyncio.CancelledError):
            return Unavailable("the server ends; whether this was done is not known", outcome="unknown")
        return internal(path, error)

    async def drain(self) -> None:
        """End every open socket and stream: the server stops."""
        self._ends = True
        await self._sockets.drain()

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        try:
            headers = websocket.with_token(self._let_in(scope), scope["subprotocols"])
            enter = self._enter(scope, headers, websocket.PATH)
            tailer = self._ready().tailer
            await websocket.answer(scope, receive, send, enter, tailer=tailer, sockets=self._sockets)
        except ClaudeBenchError as error:
            await websocket.refuse(http.problem(error), send)

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> Response | None:
        """Send events and return None, or the answer that refuses to."""
        try:
            headers = self._let_in(scope)
            enter = self._enter(scope, headers, sse.PATH)
            await sse.answer(
                scope,
                receive,
                send,
                enter,
                tailer=self._ready().tailer,
                sockets=self._sockets,
                last_event_id=headers.get(b"last-event-id", b""),
            )
        except ClaudeBenchError as error:
            return http.problem(error)
        return None

    def _enter(self, scope: Scope, headers: dict[bytes, bytes], only: str) -> Enter:
        """Return how to come in by a path that stays open."""
        workspace, path = _split(scope["path"])
        if path != only:
            raise NotFound(f"nothing answers GET {path[:100]}")
        role = self._role(scope, headers)
        self._ready()
        name = self._app.workspace(workspace)
        return lambda: Entry(self._ready().dispatcher, name, role, _address(scope))

    async def _respond(self, scope: Scope, receive: Receive) -> Response:
        try:
            return await self._answer(scope, receive)
        except ClaudeBenchError as error:
            return http.problem(error)

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        headers = self._let_in(scope)
        workspace, path = _split(scope["path"])
        if path in LIVE:
            raise _only_live(path, scope["method"])
        if scope["method"] != "POST":
            return await self._read(scope, path, headers)
        http.want_json(headers)

        def enter() -> Entry:
            role = self._role(scope, headers)
            return Entry(self._ready().dispatcher, self._app.workspace(workspace), role, _address(scope))

        if path == "/rpc":
            self._ready()
            return await jsonrpc.answer(await self._bodies.read(headers, receive), enter)
        if path.startswith(HOOKS):
            adapter = hooks.find_adapter(path.removeprefix(HOOKS))
            return await hooks.answer(adapter, self._bodies.read(headers, receive), enter)
        if path in READABLE:
            raise _not_allowed(path, "GET, HEAD")
        self._ready()
        if not commands.is_path(path):
            raise NotFound(f"nothing answers POST {path[:100]}")
        root = scope["path"][: -len(path)]
        return await commands.answer(path, root, headers, await self._bodies.read(headers, receive), enter)

    def _let_in(self, scope: Scope) -> dict[bytes, bytes]:
        """Return the headers of a request whose Host and Origin are ours."""
        try:
            return self._gate.check(scope["headers"])
        except Refused as error:
            if error.kind:
                self._note(error, error.kind, scope)
            raise

    def _role(self, scope: Scope, headers: dict[bytes, bytes]) -> Role:
        try:
            return self._gate.role(headers)
        except Unauthorized as error:
            self._note(error, "token", scope)
            raise

    def _note(self, error: ClaudeBenchError, kind: str, scope: Scope) -> None:
        if self._app.refusals:
            self._app.refusals.at_the_gate(error, kind, _address(scope), scope["path"])

    def _ready(self) -> App:
        if not self._app.ready:
            raise Unavailable("the server is starting", retryAfterMs=STARTING_RETRY_MS, reason="starting")
        if self._app.outdated:
            raise Unavailable(
                f"a newer server brought the store to format {self._app.outdated}; stop this one and upgrade it",
                reason="format",
            )
        return self._app

    async def _read(self, scope: Scope, path: str, headers: dict[bytes, bytes]) -> Response:
        """Answer what is no POST; a HEAD is a GET whose body the server under us leaves out."""
        method = scope["method"]
        if method not in ("GET", "HEAD"):
            raise _not_allowed(path, "GET, HEAD" if path in READABLE else "POST")
        if method == "HEAD":
            scope.pop("extensions", None)
        response = await self._get(scope, path, headers)
        if response.status == http.NOT_MODIFIED:
            scope.pop("extensions", None)
        return response

    async def _get(self, scope: Scope, path: str, headers: dict[bytes, bytes]) -> Response:
        if path == "/health" and scope["query_string"] == b"live":
            return Response(200, b'{"status":"alive"}')
        app = self._ready()
        if path == "/health":
            health = await app.health()
            return Response(200 if health.status != "unhealthy" else 503, encode(health))
        self._role(scope, headers)
        if path == "/metrics":
            from claudebench.transports import metrics  # noqa: PLC0415 - prometheus_client is only for who asks

            return metrics.answer(app)
        if path == "/openrpc.json":
            return openrpc.answer(app.api, headers)
        if path == "/rpc" or path.startswith(HOOKS) or _is_command(app, path):
            raise _not_allowed(path, "POST")
        raise NotFound(f"nothing answers GET {path[:100]}")


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else "-"


def _is_command(app: App, path: str) -> bool:
    try:
        return bool(commands.find(app.dispatcher.registry, path))
    except UnknownCommand:
        return False


def _not_allowed(path: str, allow: str) -> Refused:
    return Refused(405, f"{path[:100]} answers {allow}", allow=allow)


def _only_live(path: str, method: str) -> Refused:
    return Refused(426, "open a WebSocket here") if method == "GET" else _not_allowed(path, "GET")


def _split(path: str) -> tuple[str, str]:
    """Return the workspace ('' for the default) and the rest of a path `/w/{workspace}/...`."""
    if not path.startswith("/w/"):
        return "", path
    workspace, _, rest = path.removeprefix("/w/").partition("/")
    return workspace or NAMELESS, f"/{rest}"
