"""A private store for a while, that keeps nothing on disk."""

from __future__ import annotations

import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from claudebench.store.engine import find_engine

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def private_store() -> Iterator[str]:
    """Run a store for the length of a block; it is the path of its socket."""
    with tempfile.TemporaryDirectory(prefix="cb-") as folder:
        socket = Path(folder) / "s"
        words = ("--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", folder)
        with subprocess.Popen([find_engine().path, *words], stdout=subprocess.DEVNULL) as process:
            until = monotonic() + 10
            while not socket.exists():
                assert process.poll() is None, "the store ended"
                assert monotonic() < until, "the store does not listen"
            try:
                yield str(socket)
            finally:
                process.kill()
