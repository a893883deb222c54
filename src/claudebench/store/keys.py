"""Every key of the store, spelt once. Lua gets its spelling from here (`lua`), the docs get their table.

A workspace is the hash tag, so every key of a workspace lies in one Redis Cluster slot. In a Lua file a key is written
`k_<name>`, or `k_<name>(parts)`, and spelt out when the file is loaded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

WORKSPACE = re.compile(r"[a-z0-9-]{1,40}\Z")


@dataclass(frozen=True, slots=True)
class Key:
    """One kind of key: `tail` follows the workspace prefix and names its parts in braces."""

    name: str
    tail: str
    type: str
    meaning: str

    @property
    def parts(self) -> list[str]:
        """The names of the parts that vary, in order."""
        return re.findall(r"{(\w+)}", self.tail)

    def lua(self, values: list[str]) -> str:
        """Return the Lua expression of this key, where `K` is the prefix and `values` are expressions of its parts.

        Raises:
            ValueError: the key has another number of parts.
        """
        given = dict(zip(self.parts, values, strict=True))
        pieces = re.split(r"{(\w+)}", self.tail)
        terms = [given[piece] if at % 2 else f"'{piece}'" for at, piece in enumerate(pieces) if piece]
        return f"({' .. '.join(['K', *terms])})"


KEYS: dict[str, Key] = {
    key.name: key
    for key in (
        Key("meta", "meta3", "hash", "seq, lastSweep, graceFrom; test on a store whose clock tests may set"),
        Key(
            "fence",
            "meta",
            "string",
            "where older formats kept `meta`: text, so that their scripts fail before they write",
        ),
        Key(
            "format",
            "meta",
            "hash",
            "under `_`: schema, the format of the store; next, the one a migration leads to; store, its id",
        ),
        Key("task", "task:{n}", "hash", "doc (JSON, opaque to Lua), row (moving fields, msgpack), result, error"),
        Key("ready", "ready:{sig}", "zset", "n -> rank: pending, free, unblocked tasks that ask for the roles sig"),
        Key("sigs", "sigs", "hash", "sig -> size of ready:sig, at most 64"),
        Key("denied", "denied:{sig}:{i}", "zset", "n -> rank: exact subset of ready:sig that i was denied"),
        Key("held", "held:{i}", "zset", "n -> rank: reserved for i or in progress by i; its size is the load of i"),
        Key("reserved", "reserved:{i}", "zset", "n -> rank: subset of held:i that is still pending"),
        Key("own", "own:{i}", "zset", "n -> n: every task whose owner is i, finished ones included"),
        Key("lease", "lease", "zset", "n -> deadline ms of explicit leases"),
        Key("alive", "alive", "zset", "i -> ms at which i is declared dead unless it is heard of"),
        Key("offline", "offline", "zset", "i -> ms since when it is OFFLINE"),
        Key("inst", "inst:{i}", "hash", "doc, roles, capacity, deadAfterMs, incarnation, bootId, offline"),
        Key("ls", "ls:{status}:{order}", "zset", "n -> order value, per status; for `all` a text that fences format 2"),
        Key("waits", "waits:{n}", "set", "the tasks that wait for n to complete, at most 1,000 with those of stuck:n"),
        Key("stuck", "stuck:{n}", "set", "those that n blocks, since it failed or was deleted"),
        Key("freeing", "freeing", "set", "tasks whose dependents are not all told yet what became of them"),
        Key("done", "done", "string", "bit n: task n is completed, also when it is stored no more"),
        Key("dead", "dead", "zset", "n -> ms: dead letters"),
        Key("finished", "finished", "zset", "n -> ms: every completed or failed task by its end, at most 200,000"),
        Key("idem", "idem", "hash", "idempotency key -> fingerprint of the call and its reply (msgpack), a day long"),
        Key("idemage", "idemage", "zset", "idempotency key -> ms at which it is forgotten; at most 1,000,000"),
        Key("ev", "ev", "stream", "the event log of the workspace"),
        Key(
            "groups", "groups", "hash", "group -> partitions, 0 for a reader whose position lives elsewhere; at most 32"
        ),
        Key(
            "group",
            "group:{name}:{p}",
            "hash",
            "pos, holder, fence, untilMs, epoch, live: a group's cursor in partition p",
        ),
        Key("holders", "holders:{name}", "zset", "holder -> ms until which it counts among those who share a group"),
        Key("gaps", "gaps", "hash", "group:p -> `from to`: what went from the log before the group had read it"),
        Key("letters", "dead_events:{name}", "hash", "event id -> its partition and the dead letter of a group (JSON)"),
        Key("letterage", "dead_events_age:{name}", "zset", "event id -> ms at which it died; at most 10,000"),
        Key("lettermeta", "dead_events_meta:{name}", "hash", "seq of the retries; dropped, untold, toldMs"),
        Key("retrying", "retrying:{name}", "hash", "event id!seq -> letter: to be delivered once more; at most 10,000"),
        Key("retries", "retry:{name}:{p}", "zset", "event id!seq -> seq: the retries of a partition, in their order"),
        Key("evmeta", "evmeta", "hash", "trimmed: the highest id ever cut from ev; max, its hard cap on a test store"),
        Key(
            "role",
            "role:{name}",
            "hash",
            "owner, term, untilMs, leaseMs of a single-holder role; the term never restarts",
        ),
        Key(
            "seam",
            "seam:{name}",
            "hash",
            "strategy in force, epoch (only rises), phase, target, former, reason, sinceMs of a seam",
        ),
        Key("members", "members:{name}", "zset", "process -> ms until which it is a member of a seam; at most 1,000"),
        Key("places", "places:{name}", "hash", "process -> `epoch state error`: where a member of a seam is"),
        Key(
            "live", "live", "channel", "each event as it is written, while events are delivered in the distributed way"
        ),
        Key(
            "push",
            "push:{process}",
            "channel",
            "what the notifier and the processes that handle events tell each other",
        ),
        Key("sent", "sent:{writer}", "string", "the highest number of a fact that this writer got through; a day"),
        Key(
            "audit",
            "audit",
            "hash",
            "seq, id, mac, key: the newest row of the audit that the record holds; from:<row> -> the key from there on",
        ),
        Key("auditkeys", "auditkeys", "set", "under `_`: the ids of the keys that signed audits of this store"),
        Key("webhooks", "webhooks", "zset", "id -> its number: the webhooks, at most 16"),
        Key(
            "webhook",
            "webhook:{id}",
            "hash",
            "doc (JSON, opaque to Lua), createdMs; secret; former, which signs too until formerMs; off, offMs",
        ),
        Key("webhookmeta", "webhooks_meta", "hash", "seq of the ids; version, the position of the last change"),
        Key("workspaces", "workspaces", "set", "under `_`: the workspaces that were ever entered, at most 10,000"),
    )
}


def prefix(workspace: str) -> str:
    """Return the key prefix of a workspace; `_` is what belongs to no workspace."""
    return "cb:{" + workspace + "}:"


def is_workspace(name: str) -> bool:
    """Tell whether `name` is a legal workspace name, `[a-z0-9-]{1,40}`."""
    return WORKSPACE.match(name) is not None
