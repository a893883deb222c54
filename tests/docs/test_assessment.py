"""The documents against the project: what stands in backticks exists, and no row of the assessment is passed over."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.main import get_command

from claudebench.app import CATALOGUE, COMMANDS
from claudebench.cli.main import app

ROOT = Path(__file__).parents[2]
ASSESSMENT = ROOT / "docs" / "assessment.md"
DOCUMENTS = [*sorted((ROOT / "docs").rglob("*.md")), *sorted(ROOT.glob("*.md")), ROOT / "llms.txt"]
TOP = ("src", "tests", "docs", "scripts", "benchmarks", ".ci")
ROOT_FILES = re.compile(r"[A-Z]+\.md|LICENSE|pyproject\.toml|requirements(-test)?\.txt")
IN_BACKTICKS = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
NAME = re.compile(r"(task|hook|instance|system)\.[a-z_]+(\.[a-z_]+)*")
CELLS = 4

# The rows of the assessment, section by section, in its own order.
ROWS = """
## Summary figures
Contract tests 100 %
Integration tests 85 %+
Integration failures 11

## Pattern A, centralised
Pattern A, 52 % of components
One component manages state
State changed directly in Redis
Sequential, strong consistency
Resources concentrated in one component
Task handlers 4 of 4
task.create
task.update
task.assign
task.complete
System handlers 5 of 7
system.health
system.heartbeat
system.register
system.get_state
system.metrics
Hook handlers 3 of 4
hook.pre_tool
hook.post_tool
hook.user_prompt
TaskQueueManager
TodoManager
HookManager
HandlerRegistry
MetricsCollector
Sample A: @EventHandler on a class
Sample A: @Resilient (100 per minute, 5 s, breaker 10 and 30 s)
Sample A: enqueue, then persist in line
A: CPU concentrated in synchronous operations
A: direct commands, little network
A: memory local to the handler
A: latency 5-50 ms, single hop
A: predictable response times
A: breaker fallbacks give degraded service

## Pattern B, distributed
Pattern B, 19 % of components
Autonomous components, asynchronous messages
State shared through Redis
Concurrent execution, eventual consistency
Elastic scaling over instances
Decorator system
RedisScriptExecutor
GOSSIP_HEALTH_UPDATE
QUORUM_VOTE
Sample B: @RateLimited with key generator
Sample B: @CircuitBreaker with state key
Sample B: DistributedResilience
B: CPU spread over instances
B: 10-20 % network overhead
B: memory grows with instances
B: latency 20-100 ms, several hops
B: latency varies with coordination
B: gossip converges in about 500 ms

## Pattern C, hybrid
Pattern C, 29 % of components
Central coordinator, distributed executors
Synchronous and asynchronous mixed
Partial state, orchestrated work
Resources vary with the mode
system.batch.process
system.quorum.vote
hook.todo_write
InstanceManager
EventBus
HookValidator
ASSIGN_TASK_WITH_LOAD_BALANCING
COORDINATE_BATCH
Sample C: TodoWriteHandler
C: resources vary with load
C: 5-10 % coordination overhead
C: memory split between coordinator and executors
C: latency 10-80 ms
C: synchronous coordination, asynchronous execution
C: batch optimisation

## The other Lua scripts
EXACTLY_ONCE_DELIVERY
AGGREGATE_GLOBAL_METRICS
PARTITION_EVENT
SYNC_GLOBAL_STATE

## Consistency
Strong, 60 % of operations
Atomic operations by Lua
Synchronous updates, visible at once
Versions for optimistic concurrency
Strong: integrity against throughput
Seen in the task life cycle
Seen in registration and heartbeat
Seen in hook validation and caching
Eventual, 25 % of operations
Gossip for health
Metrics aggregated asynchronously
Caches invalidated by time
Eventual: availability against conflicts
Seen in audit logging
Consensus, 15 % of operations
Quorum voting
Leader election by SETNX
Lock for batches
Consensus: agreement against split brain

## Scalability
A: one instance handles a domain
A: grows by a bigger machine
A: queue depth is the bottleneck
A: about 1,000 operations a second per handler
A: latency linear in queue depth
A: memory bounded by Redis
Bottleneck TaskQueueManager
Bottleneck HookValidator with many rules
Bottleneck TodoManager with large lists
B: instances share the load
B: coordination through Redis
B: elastic by load
B: throughput linear in instances
B: latency constant but for coordination
B: memory spread
B: shared breaker prevents cascades
B: shared rate limits
B: metrics give a global view
C: coordinator with workers
C: work by capacity
C: strategies per component
C: sub-linear throughput
C: latency by complexity
C: memory of the coordinator
C: EventBus with two transports
C: InstanceManager balances control and work
C: batches use resources well

## Transformation scenarios
1. TaskQueueManager to TaskWorkerActor (A to B)
1: state moved into Redis streams
1: work is pulled
1: asynchronous processing
1: autonomous workers
1: 3-5 times the throughput
1: better fault isolation
1: elastic
1: coordination, debugging, weaker guarantees
2. Decorators to CentralizedResilienceManager (B to A)
2: state in memory, synchronous, one owner, sequential
2: simpler state, consistent decisions, easier debugging
2: single point of failure, scaling, memory
3. EventBus to CentralizedEventBus (C to A)
3. EventBus to DistributedEventBus (C to B)
3: A stronger and slower, B faster and weaker, C between

## Decisions
1. Redis first, PostgreSQL optional
1: below a millisecond, atomic, pub/sub
1: memory, persistence, backup as costs
1: performance over durability
1: 100 % contract success
1: Redis is 80 % of operations
1: memory linear in active tasks
2. Cross-cutting concerns as decorators
2: separation, reuse, one behaviour
2: overhead, debugging, order as costs
2: 15-20 % overhead
2: simple handlers
3. Three patterns mixed
3: flexibility, fit, evolution
3: complexity, several models as costs
3: 11 failures at the boundaries
3: ways to evolve stay open
4. Eight Lua scripts
4: atomic, fewer round trips
4: coupling, debugging, versions as costs
4: zero races in covered operations
4: 30-50 % fewer round trips
4: complexity hidden from the application

## Latencies
A: 8 / 25 / 50 ms, 1,000-2,000 a second
B: 15 / 60 / 120 ms, 5,000-10,000 a second
C: 12 / 45 / 90 ms, 2,000-5,000 a second

## Resources
Centralised: CPU 60-80 %, 200-500 MB, network low
Distributed: CPU 30-50 %, 100-300 MB, network high
Hybrid: CPU 40-60 %, 150-400 MB, network medium

## Failure recovery
Instance failure: 5-10 s, 10-30 s, no loss
Network partition: 1-5 s, 30-60 s, loss possible
Circuit open: at once, 30 s, no loss
Queue overflow: at once, by hand, no loss

## Failed tests
Categories: multi-instance 7, breaker 3, queue 1
Multi-instance: failure recovery timing
Multi-instance: reassignment races
Multi-instance: gossip convergence
Multi-instance: quorum edge cases
Breaker: half-open timing
Breaker: state across instances
Breaker: consistent fallbacks
Queue: balance under rapid changes
Root cause: A expects consistency at once
Root cause: B is eventual
Root cause: C has variable timing
Root cause: tests assume synchronous propagation
Root cause: coordination delays in reality
Root cause: partitions not simulated

## Short-term recommendations
Delays in test expectations
Wait conditions
A Redis per test
Explicit synchronisation points
Coordination time-outs
Documented consistency
Metrics per pattern
Distributed tracing
Dashboard of patterns

## Medium-term recommendations
A to B for TaskQueueManager
C to A for EventBus
B to C for resilience
Consistency boundaries documented
Conflict resolution
Consistency monitored
Connection pool for Redis
Caches for reads
Scripts made faster

## Long-term recommendations
One pattern per domain
Less mixing inside a component
Framework for migrating patterns
Raft for critical decisions
Vector clocks
Service mesh for observability
Automated performance analysis
Self-healing
Chaos engineering

## Conclusion
Simplicity where consistency matters
Scalability where throughput is critical
Flexibility where coordination is needed
Different patterns suit different domains
Boundaries need careful coordination
Hybrid approaches are flexible
Trade-offs explicit and measurable
"""


class Line(NamedTuple):
    """A command line in a document."""

    words: list[str]
    document: str


def _texts() -> list[tuple[str, str]]:
    return [(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")) for path in DOCUMENTS]


def _spans(text: str) -> list[str]:
    return IN_BACKTICKS.findall(FENCED.sub("", text))


def _sections(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith("## "):
            lines = found.setdefault(line.removeprefix("## "), [])
        elif line:
            lines.append(line)
    return found


def _rows() -> dict[str, dict[str, list[str]]]:
    """Return the cells of each row of the assessment's page, by section and first cell."""
    sections = _sections(ASSESSMENT.read_text(encoding="utf-8"))
    tables = {name: [line for line in lines if line.startswith("| ")][1:] for name, lines in sections.items()}
    return {
        name: {(cells := [each.strip() for each in line.strip("| ").split(" | ")])[0]: cells for line in table}
        for name, table in tables.items()
    }


def _exists(path: str) -> bool:
    """Tell whether a path resolves, `tests/x.py::test_y` down to the function."""
    file, _, test = path.partition("::")
    if not (ROOT / file).exists():
        return False
    return not test or f"def {test}(" in (ROOT / file).read_text(encoding="utf-8")


def _paths(text: str) -> list[str]:
    words = (word.rstrip(",;:") for span in _spans(text) for word in span.split())
    return [word for word in words if word.startswith(tuple(f"{top}/" for top in TOP)) or ROOT_FILES.fullmatch(word)]


def _command_lines() -> list[Line]:
    found = []
    for document, text in _texts():
        fenced = [line for block in FENCED.findall(text) for line in block.splitlines()]
        for each in (*_spans(text), *fenced):
            words = each.replace(".venv/bin/", "").split()
            if words[:1] == ["claudebench"] and len(words) > 1:
                found.append(Line(words[1:], document))
    return found


@pytest.mark.parametrize("section", _sections(ROWS))
def test_every_row_of_the_assessment_is_answered(section: str) -> None:
    """Each row of a section of the assessment has a row here with four cells, none of them empty."""
    rows = _rows().get(section, {})
    wanted = _sections(ROWS)[section]
    assert [name for name in wanted if len([cell for cell in rows.get(name, []) if cell]) != CELLS] == []


def test_no_row_is_invented() -> None:
    """Each row of the page is in the list of the assessment's rows, so that the list stays whole."""
    listed = {(section, name) for section, names in _sections(ROWS).items() for name in names}
    found = {(section, name) for section, rows in _rows().items() for name in rows}
    assert not {each for each in found - listed if each[0] not in {"Deliberate differences", "Contract rows"}}


def test_each_deliberate_difference_has_its_reason() -> None:
    """A difference names what was, what is and why."""
    assert all(len(cells) == CELLS - 1 and all(cells) for cells in _rows()["Deliberate differences"].values())


def test_every_path_resolves() -> None:
    """A path of this project in backticks exists."""
    absent = {f"{document}: {path}" for document, text in _texts() for path in _paths(text) if not _exists(path)}
    assert not absent, "\n".join(sorted(absent))


def test_every_link_resolves() -> None:
    """A relative link leads to a file."""
    absent = [
        f"{path.relative_to(ROOT)}: {target}"
        for path in DOCUMENTS
        for target in LINK.findall(FENCED.sub("", path.read_text(encoding="utf-8")))
        if "://" not in target and not (path.parent / target).exists()
    ]
    assert not absent, "\n".join(absent)


def test_every_command_line_runs() -> None:
    """A command line that begins with claudebench names a command and options that exist."""
    wrong = [
        f"{document}: claudebench {' '.join(words)}"
        for words, document in _command_lines()
        if not _runs(get_command(app), words)
    ]
    assert not wrong, "\n".join(wrong)


def _runs(command: Any, words: list[str]) -> bool:
    """Whether the words name a command below this one, and only options that it has."""
    below = getattr(command, "commands", None)
    if below and words and not words[0].startswith("-"):
        return words[0] in below and _runs(below[words[0]], words[1:])
    options = {option for each in command.params for option in each.opts}
    return not {word.partition("=")[0] for word in words if word.startswith("--")} - options - {"--help"}


def test_every_name_is_a_command_or_an_event() -> None:
    """A name such as task.claim in backticks is a command or an event of this server."""
    known = {command.name for command in COMMANDS} | CATALOGUE.types.keys()
    wrong = {
        f"{document}: {span}"
        for document, text in _texts()
        for span in _spans(text)
        if NAME.fullmatch(span) and span not in known
    }
    assert not wrong, "\n".join(sorted(wrong))
