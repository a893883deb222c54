"""What a connection under load says, and what it takes for a right answer: one generator per row of the benchmarks.

A talk yields the bytes of a request, is sent the body of its answer, checks it and times its operations itself, so that
an operation may be one request (a create) or three (create, claim, complete). All connections of a run share one
`Tally`: every id may appear in each of its sets once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator
from time import perf_counter_ns
from typing import Any, Generic, Literal, TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType

T = TypeVar("T")
Talk = Generator[bytes, bytes, T]

QUEUE_SAFE = 90_000
PAGE = 100
DEAD_AFTER_MS = 60_000
DANGER_EVERY = 32
SAFE_COMMANDS = (
    "git status --short src/module_%d",
    "git commit -m 'Fix issue %d in the parser'",
    "pytest tests/unit/test_%d.py -k 'fast and not slow' -q | tail -n 20",
    "ls -la build/%d && cat build/%d/report.txt",
    "sed -n '1,80p' src/claudebench/module_%d.py",
    "grep -rn 'issue_%d' src tests --include='*.py'",
    'for file in docs/%d/*.md; do wc -l "$file"; done',
    "npm run build -- --target es2022 --out dist/%d 2>&1 | tee build-%d.log",
)


class WrongAnswer(Exception):
    """The server answered what it must never answer."""


class _Reply(msgspec.Struct, Generic[T]):
    id: int
    result: T | UnsetType = UNSET
    error: Raw | UnsetType = UNSET


class _Created(msgspec.Struct):
    id: str
    status: Literal["pending"]


class _Holding(msgspec.Struct, rename="camel"):
    id: str
    epoch: int
    assigned_to: str


class _Claimed(msgspec.Struct):
    tasks: list[_Holding]


class _Completed(msgspec.Struct):
    id: str
    status: Literal["completed"]


class _Decided(msgspec.Struct):
    allow: bool
    recorded: bool


class _Beat(msgspec.Struct):
    alive: Literal[True]


class _Named(msgspec.Struct):
    id: str


class _Page(msgspec.Struct, rename="camel"):
    tasks: list[_Named]
    total_count: int


class _Counts(msgspec.Struct, rename="camel"):
    pending: int
    in_progress: int
    completed: int
    failed: int


class _Health(msgspec.Struct):
    status: Literal["healthy"]


_any = msgspec.json.Decoder(_Reply[Any])
_created = msgspec.json.Decoder(_Reply[_Created])
_claimed = msgspec.json.Decoder(_Reply[_Claimed])
_completed = msgspec.json.Decoder(_Reply[_Completed])
_decided = msgspec.json.Decoder(_Reply[_Decided])
_beat = msgspec.json.Decoder(_Reply[_Beat])
_page = msgspec.json.Decoder(_Reply[_Page])
_counts = msgspec.json.Decoder(_Reply[_Counts])
_health = msgspec.json.Decoder(_Health)
_encode = msgspec.json.Encoder().encode


class Tally:
    """What all connections of a run share: the window of time, the samples, and every id seen."""

    def __init__(self, workspace: str, seconds: float, warm_s: float) -> None:
        """Open the window: operations that begin in the first `warm_s` seconds are made and not counted."""
        now = perf_counter_ns()
        self.workspace = workspace
        self.warm_ns = now + int(warm_s * 1e9)
        self.until_ns = self.warm_ns + int(seconds * 1e9)
        self.samples: list[int] = []
        self.requests = 0
        self.unrecorded = 0
        self.asked: dict[str, Any] = {}
        self.page: list[str] = []
        self.created: set[tuple[str, str]] = set()
        self.claimed: set[tuple[str, str]] = set()
        self.completed: set[tuple[str, str]] = set()

    def goes_on(self) -> bool:
        """Whether another operation may begin."""
        return perf_counter_ns() < self.until_ns

    def finish(self, started_ns: int) -> None:
        """Count an operation that began at `started_ns`, when it lies inside the window."""
        now = perf_counter_ns()
        if started_ns >= self.warm_ns and now <= self.until_ns:
            self.samples.append(now - started_ns)


class Door:
    """How requests look on the wire, ready made but for their length and body."""

    def __init__(self, host: str) -> None:
        """Take host and port as the Host header names them."""
        self._tail = f" HTTP/1.1\r\nHost: {host}\r\n"
        self._heads: dict[str, bytes] = {}

    def rpc(self, workspace: str, method: str, params: Any, id_: int) -> bytes:
        """Return a JSON-RPC request."""
        body = _encode({"jsonrpc": "2.0", "id": id_, "method": method, "params": params})
        return b"%b%d\r\n\r\n%b" % (self._heads.get(workspace) or self._head(workspace), len(body), body)

    def get(self, path: str) -> bytes:
        """Return a GET request."""
        return f"GET {path}{self._tail}\r\n".encode()

    def _head(self, workspace: str) -> bytes:
        head = f"POST /w/{workspace}/rpc{self._tail}Content-Type: application/json\r\nContent-Length: ".encode()
        self._heads[workspace] = head
        return head


class Speaker:
    """One connection's voice: asks, and takes the answer apart."""

    def __init__(self, door: Door, tally: Tally, index: int) -> None:
        """Take the wire's form, the run's tally and the number of the connection."""
        self.door, self.tally, self.index = door, tally, index
        self._id = 0

    def ask(self, decoder: msgspec.json.Decoder[_Reply[T]], workspace: str, method: str, **params: Any) -> Talk[T]:
        """Send a command and return its result.

        Raises:
            WrongAnswer: an error, another request's answer, or a result of another form.
        """
        self._id += 1
        self.tally.requests += 1
        body = yield self.door.rpc(workspace, method, params, self._id)
        try:
            reply = decoder.decode(body)
        except msgspec.DecodeError as error:
            raise WrongAnswer(f"{method}: {error}: {body[:300]!r}") from None
        if reply.id != self._id or reply.result is UNSET:
            raise WrongAnswer(f"{method}: {body[:300]!r}")
        return reply.result

    def register(self, name: str) -> Talk[None]:
        """Register an instance."""
        params = {"id": name, "roles": ["worker"], "deadAfterMs": DEAD_AFTER_MS}
        yield from self.ask(_any, self.tally.workspace, "system.register", **params)


def once(seen: set[tuple[str, str]], workspace: str, id_: str, what: str) -> None:
    """Note an id, or raise WrongAnswer when it was seen before."""
    before = len(seen)
    seen.add((workspace, id_))
    if len(seen) == before:
        raise WrongAnswer(f"{id_} of {workspace} was {what} twice")


def create(speaker: Speaker) -> Talk[None]:
    """Create tasks; another workspace is begun before the queue of one is full."""
    tally, index, n = speaker.tally, speaker.index, 0
    while tally.goes_on():
        workspace = f"{tally.workspace}-{len(tally.created) // QUEUE_SAFE}"
        n += 1
        started = perf_counter_ns()
        text = f"Fix issue {n} of connection {index} in the parser module"
        task = yield from speaker.ask(_created, workspace, "task.create", text=text, priority=n % 101)
        tally.finish(started)
        once(tally.created, workspace, task.id, "created")


def flow(speaker: Speaker) -> Talk[None]:
    """Create a task, claim one, complete it: each connection a worker, each task once."""
    tally, worker = speaker.tally, f"w-{speaker.index}"
    yield from speaker.register(worker)
    while tally.goes_on():
        started = perf_counter_ns()
        yield from _flow(speaker, tally, worker)
        tally.finish(started)


def _flow(speaker: Speaker, tally: Tally, worker: str) -> Talk[None]:
    workspace = tally.workspace
    task = yield from speaker.ask(_created, workspace, "task.create", text=f"work for whoever comes after {worker}")
    once(tally.created, workspace, task.id, "created")
    got = yield from speaker.ask(_claimed, workspace, "task.claim", workerId=worker)
    if len(got.tasks) != 1 or got.tasks[0].assigned_to != worker:
        raise WrongAnswer(f"{worker} claimed {got.tasks} while a task was free")
    held = got.tasks[0]
    once(tally.claimed, workspace, held.id, "claimed")
    fence = {"id": held.id, "workerId": worker, "epoch": held.epoch, "result": {"ok": True}}
    done = yield from speaker.ask(_completed, workspace, "task.complete", **fence)
    once(tally.completed, workspace, done.id, "completed")


def pre_tool(speaker: Speaker) -> Talk[None]:
    """Have commands judged, a new one each time; one in 32 is dangerous and must not pass."""
    tally, n, kinds = speaker.tally, speaker.index * 1_000_000, len(SAFE_COMMANDS)
    session = f"s-{speaker.index}"
    while tally.goes_on():
        n += 1
        is_danger = n % DANGER_EVERY == 0
        text = f"rm -rf / # {n}" if is_danger else SAFE_COMMANDS[n % kinds].replace("%d", str(n))
        started = perf_counter_ns()
        params = {"tool": "Bash", "params": {"command": text}, "sessionId": session, "cwd": "/work/project"}
        answer = yield from speaker.ask(_decided, tally.workspace, "hook.pre_tool", **params)
        tally.finish(started)
        tally.unrecorded += answer.allow and not answer.recorded
        if answer.allow is is_danger:
            raise WrongAnswer(f"the guard said {answer} of {text!r}")


def heartbeat(speaker: Speaker) -> Talk[None]:
    """Be heard of."""
    tally, name = speaker.tally, f"h-{speaker.index}"
    yield from speaker.register(name)
    while tally.goes_on():
        started = perf_counter_ns()
        yield from speaker.ask(_beat, tally.workspace, "system.heartbeat", instanceId=name)
        tally.finish(started)


def health(speaker: Speaker) -> Talk[None]:
    """Ask for the server's health."""
    tally, request = speaker.tally, speaker.door.get("/health")
    while tally.goes_on():
        started = perf_counter_ns()
        tally.requests += 1
        body = yield request
        tally.finish(started)
        try:
            _health.decode(body)
        except msgspec.DecodeError as error:
            raise WrongAnswer(f"health: {error}: {body[:300]!r}") from None


def list_(speaker: Speaker) -> Talk[None]:
    """List the newest hundred tasks of a filled workspace, or what is asked for: then the same page each time."""
    tally = speaker.tally
    while tally.goes_on():
        started = perf_counter_ns()
        page = yield from speaker.ask(_page, tally.workspace, "task.list", limit=PAGE, **tally.asked)
        tally.finish(started)
        found = [task.id for task in page.tasks]
        tally.page = tally.page or (found if tally.asked else [f"t-{page.total_count - n}" for n in range(PAGE)])
        if found != tally.page:
            raise WrongAnswer(f"a page of {page.total_count} tasks holds {found[:3]}...")


def audit(speaker: Speaker) -> Talk[None]:
    """Ask the ledger whether it counts what the connections counted."""
    tally = speaker.tally
    created, completed = (Counter(workspace for workspace, _ in seen) for seen in (tally.created, tally.completed))
    for workspace in created:
        counts = yield from speaker.ask(_counts, workspace, "task.count")
        wanted = _Counts(created[workspace] - completed[workspace], 0, completed[workspace], 0)
        if counts != wanted:
            raise WrongAnswer(f"{workspace} counts {counts}, the connections {wanted}")


TALKS: dict[str, Callable[[Speaker], Talk[None]]] = {
    "create": create,
    "flow": flow,
    "pre_tool": pre_tool,
    "heartbeat": heartbeat,
    "health": health,
    "list": list_,
}
