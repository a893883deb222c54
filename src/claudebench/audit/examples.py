"""The commands of the audit by example."""

from __future__ import annotations

from claudebench.errors import Unavailable
from claudebench.rpc.examples import Example, Told

WRITE = ("task.create", {"text": "Write the release notes"})
KEY = "5f1d8a8a3e6c2b90"
MAC = "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
HEAD = {"seq": 1, "id": "1772355600000-0", "mac": MAC, "key": KEY}
SPANS = [{"seq": 1, "key": KEY}]
ROW = {
    "seq": 1,
    "id": "1772355600000-0",
    "at": "2026-03-01T09:00:00.000Z",
    "actor": "",
    "role": "",
    "action": "task.created",
    "subject": "t-1",
    "outcome": "done",
    "detail": '{"id":"t-1"}',
    "key": KEY,
    "mac": MAC,
}

TOLD = {
    "audit.verify": Told(
        (Example("a whole chain", {}, {"intact": True, "rows": 1, "last": 1, "findings": [], "head": HEAD}, (WRITE,)),),
        (Unavailable,),
    ),
    "audit.tail": Told(
        (
            Example(
                "the newest rows",
                {"limit": 1},
                {
                    "workspace": "default",
                    "rows": [ROW],
                    "nextBehind": 1,
                    "hasMore": False,
                    "head": HEAD,
                    "spans": SPANS,
                },
                (WRITE,),
            ),
        ),
        (Unavailable,),
    ),
    "audit.accept": Told(
        (
            Example(
                "after a restore of the table",
                {"reason": "restored from the night before"},
                {"head": HEAD, "found": []},
                (WRITE,),
            ),
        ),
        (Unavailable,),
    ),
}
