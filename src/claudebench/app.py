"""The composition root: the only file that knows every room.

An `App` goes through starting -> ready -> stopped. Doors ask `ready` before they let anything in, and
`outdated`: once a newer server has brought the store to another format, nothing is let in any more.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import tempfile
from collections import Counter
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import structlog

from claudebench import __version__
from claudebench.audit import examples as audit_examples
from claudebench.audit import handlers as audit_handlers
from claudebench.audit.handlers import Audit
from claudebench.errors import ClaudeBenchError, InvalidParams, SettingsError, Unavailable
from claudebench.events import cursor as event_cursor
from claudebench.events import letters as event_letters
from claudebench.events import log as event_log
from claudebench.events import model as event_model
from claudebench.events import trim as event_trim
from claudebench.events.bus import Means
from claudebench.events.cursor import Cursors
from claudebench.events.letters import DeadLetters
from claudebench.events.listening import Listening
from claudebench.events.log import EventLog
from claudebench.events.model import Catalogue
from claudebench.events.spool import Spool
from claudebench.events.tailer import Tailer
from claudebench.events.trim import Trimming
from claudebench.hooks import events as hook_events
from claudebench.hooks import examples as hook_examples
from claudebench.hooks import handlers as hook_handlers
from claudebench.hooks.chain import Chain, Link
from claudebench.hooks.guard import Guard
from claudebench.hooks.masking import masked
from claudebench.hooks.record import DecisionRecord
from claudebench.hooks.registration import is_hook, links_of
from claudebench.hooks.rulebook import GUARD, Rulebook, builtin
from claudebench.hooks.signature import Signature
from claudebench.instances import events as instance_events
from claudebench.instances import examples as instance_examples
from claudebench.instances import handlers as instance_handlers
from claudebench.instances import record as instance_record
from claudebench.instances import store as instance_store
from claudebench.instances.record import InstanceRecord
from claudebench.instances.store import InstanceStore
from claudebench.own.loading import Apps, load_apps
from claudebench.patterns import seam as pattern_seam
from claudebench.patterns.migration import Migration
from claudebench.patterns.seam import Seams
from claudebench.record import identity as record_identity
from claudebench.record import mending as record_mending
from claudebench.record import stream as record_stream
from claudebench.record import trail as record_trail
from claudebench.record.audit_key import make_keys
from claudebench.record.database import Address as DatabaseAddress
from claudebench.record.database import Database
from claudebench.record.identity import Identity
from claudebench.record.mending import Mending
from claudebench.record.projector import GROUP as RECORD_GROUP
from claudebench.record.projector import Projector
from claudebench.record.reading import Record
from claudebench.record.stream import Stream
from claudebench.record.trail import Trail
from claudebench.rpc import openrpc
from claudebench.rpc.context import Caller
from claudebench.rpc.dispatcher import Dispatcher
from claudebench.rpc.openrpc import Api
from claudebench.rpc.refusals import EVENTS as REFUSAL_EVENTS
from claudebench.rpc.refusals import Refusals
from claudebench.rpc.registry import HandlerRegistry
from claudebench.store import format as store_format
from claudebench.store import lease as store_lease
from claudebench.store import workspaces as store_workspaces
from claudebench.store.connection import Address, Connection
from claudebench.store.datadir import DataDir
from claudebench.store.format import check_format, migrate, outdated_by
from claudebench.store.keys import is_workspace
from claudebench.store.lease import Leases
from claudebench.store.origin import Origin
from claudebench.store.pubsub import PubSub
from claudebench.store.script import ScriptError
from claudebench.store.server import EmbeddedStore
from claudebench.store.workspaces import Workspaces
from claudebench.system import dead_events as system_dead_events
from claudebench.system import events as system_events
from claudebench.system import examples as system_examples
from claudebench.system import groups as system_groups
from claudebench.system import handlers as system_handlers
from claudebench.system import patterns as system_patterns
from claudebench.system import records as system_records
from claudebench.system.observer import Observer
from claudebench.tasks import events as task_events
from claudebench.tasks import examples as task_examples
from claudebench.tasks import handlers as task_handlers
from claudebench.tasks import recorded as task_recorded
from claudebench.tasks import store as task_store
from claudebench.tasks.recorded import TaskRecord
from claudebench.tasks.retention import Retention
from claudebench.tasks.store import TaskStore
from claudebench.telemetry.sparse import Sparse
from claudebench.webhooks import events as webhook_events
from claudebench.webhooks import examples as webhook_examples
from claudebench.webhooks import handlers as webhook_handlers
from claudebench.webhooks import store as webhook_store
from claudebench.webhooks.address import Allowed
from claudebench.webhooks.delivering import Webhooks
from claudebench.webhooks.sending import Sender
from claudebench.webhooks.store import WebhookStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from claudebench.hooks.model import ToolCall
    from claudebench.settings import Settings
    from claudebench.system.model import Health

log = structlog.get_logger("claudebench")

COMMANDS = (
    *task_handlers.COMMANDS,
    *instance_handlers.COMMANDS,
    *hook_handlers.COMMANDS,
    *system_handlers.COMMANDS,
    *system_events.COMMANDS,
    *system_dead_events.COMMANDS,
    *system_groups.COMMANDS,
    *system_records.COMMANDS,
    *system_patterns.COMMANDS,
    *audit_handlers.COMMANDS,
    *webhook_handlers.COMMANDS,
    *openrpc.COMMANDS,
)
SCRIPTS = (
    *store_format.SCRIPTS,
    *store_workspaces.SCRIPTS,
    *store_lease.SCRIPTS,
    *pattern_seam.SCRIPTS,
    *task_store.SCRIPTS,
    *task_recorded.SCRIPTS,
    *instance_store.SCRIPTS,
    *instance_record.SCRIPTS,
    *record_identity.SCRIPTS,
    *record_stream.SCRIPTS,
    *record_trail.SCRIPTS,
    *event_log.SCRIPTS,
    *event_cursor.SCRIPTS,
    *event_letters.SCRIPTS,
    *event_trim.SCRIPTS,
    *webhook_store.SCRIPTS,
)
TOLD = {
    **task_examples.TOLD,
    **instance_examples.TOLD,
    **hook_examples.TOLD,
    **system_examples.TOLD,
    **system_dead_events.TOLD,
    **system_groups.TOLD,
    **system_records.TOLD,
    **system_patterns.TOLD,
    **audit_examples.TOLD,
    **webhook_examples.TOLD,
}
EVENTS = (
    *task_events.EVENTS,
    *instance_events.EVENTS,
    *hook_events.EVENTS,
    *event_model.EVENTS,
    *event_letters.EVENTS,
    *record_mending.FACTS,
    *REFUSAL_EVENTS,
    *audit_handlers.EVENTS,
    *system_patterns.EVENTS,
    *webhook_events.EVENTS,
)
CATALOGUE = Catalogue(EVENTS)
_guard_error, _link_error = Sparse.to_log("error"), Sparse.to_log("error")
TICK_S = 0.5
GUARD_PRIORITY = -1_000_000
GUARD_WITHIN_S = 5.0
SYNC_BEHIND_MAX_S = 2.5
STORE_WITHIN_S = 60.0
EXTERNAL_WITHIN_S = 10.0


class App:
    """A server without its doors."""

    def __init__(self, settings: Settings, given_ms: Callable[[], str] = str) -> None:
        """Take the settings; `given_ms` injects time into a test store ('' in production)."""
        self.settings = settings
        self.ready = False
        self.outdated = 0
        self.operator_token = ""
        self.dispatcher: Dispatcher
        self.connection: Connection
        self.observer: Observer
        self.spool: Spool
        self.tailer: Tailer
        self.listening: Listening
        self.webhooks: Webhooks
        self.sockets_open: Callable[[], Counter[str]] = Counter  # the doors know
        self.refusals: Refusals | None = None
        self.chain: Chain
        self.api = Api(__version__, TOLD)
        self.data_dir = DataDir(settings.data_dir)
        self.process = secrets.token_hex(8)
        self.projector: Projector | None = None
        self.trail: Trail | None = None
        self._database: DatabaseAddress | None = None
        self._given_ms = given_ms
        self._open = AsyncExitStack()
        self._apps = Apps()
        self._store: EmbeddedStore | None = None

    @property
    def durability(self) -> str:
        """What a power loss may cost, in the words of the ready line."""
        if self.settings.redis_url:
            return "external (the store's own configuration decides)"
        return {"everysec": "everysec (power loss: at most 2 s)", "always": "always (power loss: nothing)"}[
            self.settings.durability
        ]

    async def start(self) -> None:
        """Start the store, connect, bind every command; ready from then on.

        Raises:
            ClaudeBenchError: the data directory is held, the store refuses, or nothing answers.
        """
        try:
            self._database = DatabaseAddress.from_settings(
                self.settings.database_url, self.data_dir.path, embedded=not self.settings.redis_url
            )
            self._apps = load_apps(self.settings.app, {command.name for command in COMMANDS}, is_hook)
            sender = Sender(Allowed.of(self.settings.webhook_allow), masked)
            address = await self._store_address()
            self.connection = Connection(address, SCRIPTS)
            if self._store:
                reserve = self._store.reserve
                self.connection.refuses_growth = lambda: reserve.is_low
                self.connection.on_full_disk = reserve.give_up
            await self.connection.open(EXTERNAL_WITHIN_S if self.settings.redis_url else STORE_WITHIN_S)
            self._open.push_async_callback(self.connection.close)
            await check_format(self.connection, task_store.reindex)
            await self._learn_scripts()
            following = Connection(address, event_log.SCRIPTS)
            await following.open(EXTERNAL_WITHIN_S)
            self._open.push_async_callback(following.close)
            workspaces = Workspaces(self.connection)
            self._keep_record(workspaces)
            if self.trail:
                await self.trail.check_key()
            self.connection.on_change = partial(_changed, workspaces, self.projector)
            await self._meet_record(workspaces)
            if self.projector:
                self.connection.first = self.projector.first
            self._compose(workspaces, following, PubSub(address), sender)
        except BaseException:
            await self.stop()
            raise
        self.ready = True

    async def stop(self) -> None:
        """Close the connection, stop the embedded store, let the data directory go."""
        self.ready = False
        await self._open.aclose()

    def note_url(self, url: str) -> None:
        """Tell whoever finds the data directory held where this server answers."""
        if not self.settings.redis_url:
            self.data_dir.note(url=url)

    def workspace(self, name: str) -> str:
        """Return `name`, or the default for ''.

        Raises:
            InvalidParams: the name is no workspace's.
        """
        if not name:
            return self.settings.workspace
        if not is_workspace(name):
            raise InvalidParams(f"a workspace is named [a-z0-9-]{{1,40}}, not {name[:60]!r}")
        return name

    async def health(self) -> Health:
        """Return what system.health answers."""
        answer = await self.dispatcher.dispatch("system.health", b"{}", Caller(self.settings.workspace))
        return cast("Health", answer.result)

    async def _store_address(self) -> Address:
        if self.settings.redis_url:
            address = Address.from_url(self.settings.redis_url)
            self.data_dir.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.operator_token = _operator_token(self.data_dir.path / "token")
            return address
        self._open.enter_context(self.data_dir)
        self.operator_token = _operator_token(self.data_dir.path / "token")
        store = EmbeddedStore(self.data_dir, durability=self.settings.durability, max_memory=self.settings.max_memory)
        await store.start()
        self._open.push_async_callback(store.stop)
        self._store = store
        return Address(socket=str(store.socket_path))

    async def _learn_scripts(self) -> None:
        try:
            await self.connection.learn(self._apps.all_scripts())
        except ScriptError as error:
            raise SettingsError(f"a script of an app does not compile: {error}") from None

    def _keep_record(self, workspaces: Workspaces) -> None:
        """Set up the record, if this server keeps one. The holder of a data directory has no rival for its role."""
        if not self._database:
            return
        embedded = self._store is not None
        database, stream = Database(self._database), Stream(self.connection)
        self._open.push_async_callback(database.close)
        self.trail = Trail(database, self.connection, make_keys(self.settings.audit_key_path))
        rooms = (TaskRecord(self.connection), InstanceRecord(self.connection), DecisionRecord())
        self.projector = Projector(
            stream,
            database,
            Identity(self.connection, database, adopts=self.settings.adopt_record or bool(self._database.file)),
            Leases(self.connection),
            owner="embedded" if embedded else self.process,
            known=workspaces.known,
            rooms=rooms,
            mending=Mending(stream, database, rooms),
            cursors=Cursors(self.connection),
            trail=self.trail,
        )

    async def _leave_log(self, workspaces: Workspaces) -> None:
        """Let the log go that was kept for a record; of a store that others share we cannot know."""
        if self._store:
            await workspaces.learn()
            cursors = Cursors(self.connection)
            await asyncio.gather(*(cursors.drop(name, RECORD_GROUP) for name in workspaces.known()))

    async def _meet_record(self, workspaces: Workspaces) -> None:
        """Compare record and store before anything is let in, unless the record cannot be had now."""
        if not self.projector:
            await self._leave_log(workspaces)
            return
        try:
            await self.projector.meet()
        except Unavailable as error:
            log.warning("the record cannot be asked what it knows: numbers of tasks are left out", error=str(error))
            await workspaces.learn()
            await self.projector.skip()
        projecting = asyncio.create_task(self.projector.run(), name="projector")
        self._open.push_async_callback(_end, projecting)

    def _compose(self, workspaces: Workspaces, following: Connection, pubsub: PubSub, sender: Sender) -> None:
        facts = EventLog(self.connection, Catalogue((*EVENTS, *self._apps.events)))
        self.tailer = Tailer(facts, following)
        self.observer = observer = Observer(
            self.connection,
            self.durability,
            __version__,
            self._disk_keeps_up,
            self.tailer.figures,
            self.sockets_open,
        )
        if projector := self.projector:
            observer.further["record"] = lambda: projector.keeps_up
        if self.trail:
            observer.further["audit"] = self.trail.is_whole
        spool = self.spool = Spool(facts)
        refusals = self.refusals = Refusals(spool, self.settings.workspace)
        self._open.push_async_callback(refusals.stop)
        chain = self.chain = self._chain()
        seams, leases = Seams(self.connection, self._given_ms), Leases(self.connection, self._given_ms)
        stores: dict[type, Any] = {
            TaskStore: TaskStore(self.connection, retain_days=self.settings.retain_days),
            InstanceStore: InstanceStore(self.connection),
            EventLog: facts,
            Cursors: Cursors(self.connection, self._given_ms),
            DeadLetters: DeadLetters(self.connection, self._given_ms),
            Seams: seams,
            Migration: Migration(seams, leases, self.process),
            Workspaces: workspaces,
            Chain: chain,
            Rulebook: self._rulebook(),
            Spool: spool,
            Observer: observer,
            Record: Record(self.projector),
            Api: self.api,
            Audit: Audit(self.trail, self.projector),
            Sender: sender,
            WebhookStore: WebhookStore(self.connection),
        }
        stores |= self._apps.stores(self.connection)
        for subscriber in self._apps.subscribers:
            subscriber.check(facts.catalogue)
        observer.registry = HandlerRegistry((*COMMANDS, *self._apps.commands), stores)
        self.api.registry = observer.registry
        self.dispatcher = Dispatcher(observer.registry, facts, self._given_ms, refusals)
        tailing = asyncio.create_task(self.tailer.run(), name="tailer")
        self._open.callback(tailing.cancel)
        hearing = asyncio.create_task(pubsub.run(), name="pubsub")
        self._open.callback(hearing.cancel)
        self._listen(facts, stores, pubsub)
        ticking = asyncio.create_task(self._tick(stores[Workspaces], stores[InstanceStore]), name="sweep tick")
        self._open.callback(ticking.cancel)
        replaying = asyncio.create_task(spool.replay(), name="spool")
        self._open.callback(replaying.cancel)
        retention = Retention(stores[TaskStore], workspaces, self._given_ms)
        retiring = asyncio.create_task(retention.run(), name="retention")
        self._open.callback(retiring.cancel)
        trims = Trimming(self.connection, workspaces, self.settings.retain_days, self._given_ms)
        observer.has_gaps = lambda: bool(trims.gapped)
        trimming = asyncio.create_task(trims.run(), name="trimming")
        self._open.callback(trimming.cancel)

    def _listen(self, facts: EventLog, stores: dict[type, Any], pubsub: PubSub) -> None:
        """Let the subscribers of apps be told, and the webhooks; they are the first to end."""
        self.webhooks = Webhooks(stores[WebhookStore], stores[Sender])
        leases = stores[Migration].leases
        means = Means(facts, stores[Cursors], stores[DeadLetters], leases, self.tailer, pubsub, self.process, masked)
        self.listening = Listening(
            [each.bound(stores, lambda: self.dispatcher) for each in self._apps.subscribers],
            means,
            stores[Seams],
            stores[Workspaces].known,
            stores[Migration].go_on,
            self.webhooks.subscriptions,
        )
        listening = asyncio.create_task(self.listening.run(), name="subscribers")
        self._open.push_async_callback(_end, listening)

    def _chain(self) -> Chain:
        guard = Guard(builtin(), ours=(str(self.data_dir.path),), on_error=_guard_failed)
        first = Link(name=GUARD, decide=guard.answer, priority=GUARD_PRIORITY, timeout_s=GUARD_WITHIN_S, again=True)
        return Chain([first, *links_of(self._apps.hooks)], on_error=_link_failed)

    def _rulebook(self) -> Rulebook:
        book = Rulebook(self.settings.rules, Signature(self.data_dir.path), on_error=_rules_unreadable)
        book.check()
        return book

    def _disk_keeps_up(self) -> bool:
        store = self._store
        return store is None or (store.sync_behind_s < SYNC_BEHIND_MAX_S and not store.reserve.is_low)

    async def _tick(self, workspaces: Workspaces, instances: InstanceStore) -> None:
        """Sweep every workspace with instances, twice a second, for as long as the store has our format."""

        async def sweep(workspace: str) -> None:
            try:
                if not await instances.sweep(Origin(workspace, given_ms=self._given_ms())):
                    workspaces.rest(workspace)
            except Unavailable as error:
                if error.data.get("reason") != "format":
                    raise
                await migrate(self.connection, workspace, task_store.reindex)

        while not self.outdated:
            with suppress(ClaudeBenchError):
                await self._look_at_format()
                await workspaces.learn()
                await self.observer.look()
                await asyncio.gather(*map(sweep, workspaces.awake()))
            await asyncio.sleep(TICK_S)

    async def _look_at_format(self) -> None:
        self.outdated = await outdated_by(self.connection)
        if self.outdated:
            log.critical("a newer server brought the store to another format; stop this one", format=self.outdated)


def _changed(workspaces: Workspaces, projector: Projector | None, workspace: str) -> None:
    workspaces.enter(workspace)
    if projector:
        projector.touch(workspace)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait((task,))


def _guard_failed(call: ToolCall, error: Exception) -> None:
    _guard_error("the guard failed and denied", tool=call.tool, exc_info=error)


def _rules_unreadable(message: str) -> None:
    log.error("a file of rules does not count as it did", error=message)


def _link_failed(link: Link, error: BaseException) -> None:
    _link_error("a hook failed and decided by its fail mode", hook=link.name, fail_mode=link.fail_mode, exc_info=error)


def _operator_token(path: Path) -> str:
    """Return the operator's token, made whole on the first start and readable by its owner only."""
    fd, fresh = tempfile.mkstemp(prefix="token.", dir=path.parent)
    with os.fdopen(fd, "w") as file:
        file.write(secrets.token_urlsafe(32))
    with suppress(FileExistsError):
        os.link(fresh, path)
    Path(fresh).unlink()
    token = path.read_text().strip()
    if not token:
        raise SettingsError(f"{path} is empty; remove it, and a new operator's token is made")
    return token
