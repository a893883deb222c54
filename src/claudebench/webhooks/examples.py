"""The commands on webhooks by example; `hooks.corp.example` and 127.0.0.1 are what `webhook_allow` names there."""

from __future__ import annotations

from claudebench.errors import InvalidParams, LimitReached, NotFound
from claudebench.rpc.examples import Example, Told

URL = "https://hooks.corp.example/claudebench"
AT = "2026-03-01T09:00:00.000Z"
SECRET = "whsec_TUZLUTlyOEdLWXFyVHdqVVBEOElMUFpJbzJMYUxhU3c="  # noqa: S105 - an example's
ADD = ("webhook.add", {"url": URL, "events": ["task.completed", "task.failed"]})
SHOWN = {
    "id": "wh-1",
    "url": "https://hooks.corp.example/***",
    "events": ["task.completed", "task.failed"],
    "description": "",
    "retries": 8,
    "state": "on",
    "createdAt": AT,
}

TOLD = {
    "webhook.add": Told(
        (Example("tell a URL how tasks end", ADD[1], {"id": "wh-1", "secret": SECRET, "createdAt": AT}),),
        refuses=(InvalidParams, LimitReached),
    ),
    "webhook.list": Told((Example("one, as anybody sees it", {}, {"webhooks": [SHOWN]}, given=(ADD,)),)),
    "webhook.show": Told(
        (
            Example(
                "nothing waits, nothing is dead",
                {"id": "wh-1"},
                SHOWN | {"behind": 0, "behindExact": True, "behindMs": 0, "dead": 0, "retrying": 0},
                given=(ADD,),
            ),
        ),
        refuses=(NotFound,),
    ),
    "webhook.remove": Told(
        (Example("it is gone", {"id": "wh-1"}, {"id": "wh-1", "removed": True}, given=(ADD,)),), refuses=(NotFound,)
    ),
    "webhook.rotate": Told(
        (
            Example(
                "another secret; the former one signs too for an hour",
                {"id": "wh-1", "keepS": 3600},
                {"id": "wh-1", "secret": SECRET, "formerSecretUntil": AT},
                given=(ADD,),
            ),
        ),
        refuses=(NotFound,),
    ),
    "webhook.test": Told(
        (
            Example(
                "nobody is there",
                {"id": "wh-1"},
                {
                    "delivered": False,
                    "tookMs": 3,
                    "error": "127.0.0.1:9: no connection: Connection refused",
                },
                given=(("webhook.add", {"url": "http://127.0.0.1:9/", "events": ["*"]}),),
            ),
        ),
        refuses=(NotFound,),
    ),
}
