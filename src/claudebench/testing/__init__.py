"""What tests of ClaudeBench, and of handlers written for it, stand on: real servers, faults, conditions, not time.

async with serve(tmp_path) as server, server.client() as client:
    task = await client.call("task.create", text="write the docs")
    server.kill_store()
    await eventually(lambda: client.is_healthy())
"""

from claudebench.testing.client import AsyncClient
from claudebench.testing.conditions import eventually
from claudebench.testing.server import Server, serve

__all__ = ["AsyncClient", "Server", "eventually", "serve"]
