"""`claudebench up`: the app behind uvicorn, from the first bind to the last drained request."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import json as jsonlib
import logging
import os
import resource
import signal
import socket
import sys
import threading
from typing import TYPE_CHECKING, Any

import structlog
import uvicorn
import uvloop

from claudebench import __version__
from claudebench.app import App
from claudebench.asgi import Doors
from claudebench.errors import SettingsError
from claudebench.store.datadir import DataDir
from claudebench.transports.protocol import Http
from claudebench.transports.wire import MESSAGE_MAX, WebSocket

if TYPE_CHECKING:
    from collections.abc import Iterator

    from claudebench.settings import Settings

DRAIN_S, END_WITHIN_S = 8, 2.0
BACKLOG = 2048
KEEP_ALIVE_S = 75
PORTS = frozenset({errno.EADDRINUSE, errno.EACCES})
FILES_BESIDE = 4096


def run(settings: Settings, *, json: bool) -> None:
    """Serve until SIGINT, SIGTERM or SIGHUP, drain, return.

    Raises:
        ClaudeBenchError: the address is taken, or the store cannot be had.
    """
    _settle_imports()
    _configure_logs()
    _allow_files(settings.max_sockets)
    listener = _listen(settings)
    with contextlib.closing(listener):
        uvloop.run(_serve(settings, listener, json=json))


def _allow_files(sockets: int) -> None:
    """Let the process open as many files as its sockets want, as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = sockets + FILES_BESIDE
    if soft < wanted:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard)
        )


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: they raise the signal again at the end, and we exit 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


async def _serve(settings: Settings, listener: socket.socket, *, json: bool) -> None:
    app = App(settings)
    doors = Doors(app)
    server = _Server(_config(doors))
    stopping: list[asyncio.Task[None]] = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(
            number, lambda: stopping.append(asyncio.create_task(_stop(doors, server)))
        )
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    starting = asyncio.create_task(app.start())
    try:
        await asyncio.wait((serving, starting), return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            await starting
            _settle_memory()
            url = _url(settings, listener)
            app.note_url(url)
            _print_ready(app, url, json=json)
            await serving
    finally:
        server.should_exit = True
        starting.cancel()
        await asyncio.wait((serving, starting))
        await app.stop()
        _leave_behind(code=1 if sys.exc_info()[0] else 0)


def _settle_imports() -> None:
    """Let the collector go on, if it was halted for the imports, but never look at what they made."""
    gc.freeze()
    gc.enable()


def _settle_memory() -> None:
    """Take what lives as long as the server out of the collector's sight: a full collection of it costs 28 ms."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


def _leave_behind(code: int) -> None:
    """End the process though a function of an app does not end: all that is ours has ended."""

    def end() -> None:
        logging.getLogger("claudebench").warning("a function of an app does not end, and is left behind")
        os._exit(code)

    timer = threading.Timer(END_WITHIN_S, end)
    timer.daemon = True
    timer.start()


async def _stop(doors: Doors, server: uvicorn.Server) -> None:
    """End what has no end of its own, and then serve no more."""
    try:
        await doors.drain()
    finally:
        server.should_exit = True


def _config(doors: Doors) -> uvicorn.Config:
    return uvicorn.Config(
        doors,
        loop="none",
        http=Http,
        timeout_keep_alive=KEEP_ALIVE_S,
        ws=WebSocket,
        ws_max_size=MESSAGE_MAX,
        ws_per_message_deflate=False,
        lifespan="off",
        interface="asgi3",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=DRAIN_S,
        backlog=BACKLOG,
    )


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        if (settings.data_dir / "lock").exists():
            with DataDir(settings.data_dir):
                """Held by nobody, or this has raised StoreHeld, which says more than a port in use does."""
        other = "--port" if error.errno in PORTS else "--host"
        raise SettingsError(
            f"cannot listen on {settings.host}:{settings.port} ({error.strerror}); choose another with {other}"
        ) from None
    return listener


def _url(settings: Settings, listener: socket.socket) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{listener.getsockname()[1]}"


def _print_ready(app: App, url: str, *, json: bool) -> None:
    facts: dict[str, Any] = {
        "url": url,
        "durability": app.durability,
        "dataDir": str(app.data_dir.path),
        "version": __version__,
    }
    print(
        jsonlib.dumps({"ready": True, **facts}) if json else f"ready at {url} · durability {app.durability}", flush=True
    )


def _configure_logs() -> None:
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )
