"""`claudebench webhook`: URLs to which events are sent."""

from __future__ import annotations

from claudebench.cli import show
from claudebench.cli.noun import verbs
from claudebench.cli.verb import Verb, declare

MODEL = "claudebench.webhooks.model"
ID = {"id": "The webhook, wh-<number>"}
app = verbs()

declare(
    app,
    Verb(
        name="add",
        command="webhook.add",
        request=f"{MODEL}:Add",
        about="Send events to a URL from now on; prints the secret that signs them, this once.",
        example="claudebench webhook add https://hooks.example.com/tasks --events 'task.*'",
        arguments=("url",),
    ),
    Verb(
        name="list",
        command="webhook.list",
        request=f"{MODEL}:ListWebhooks",
        about="List them; their URLs are shown whole to the operator only.",
        example="claudebench webhook list",
        changes=False,
        show=show.webhooks,
    ),
    Verb(
        name="show",
        command="webhook.show",
        request=f"{MODEL}:One",
        about="Show one, how far it is behind, and how many events it gave up on.",
        example="claudebench webhook show wh-1",
        arguments=("id",),
        meanings=ID,
        changes=False,
    ),
    Verb(
        name="remove",
        command="webhook.remove",
        request=f"{MODEL}:One",
        about="Send nothing to it any more; its dead letters go too.",
        example="claudebench webhook remove wh-1",
        arguments=("id",),
        meanings=ID,
    ),
    Verb(
        name="rotate",
        command="webhook.rotate",
        request=f"{MODEL}:Rotate",
        about="Sign with a new secret, printed this once, and for a while with the former one too.",
        example="claudebench webhook rotate wh-1 --keep-s 3600",
        arguments=("id",),
        meanings=ID,
    ),
    Verb(
        name="test",
        command="webhook.test",
        request=f"{MODEL}:One",
        about="Send one signed webhook.ping now; print what was answered, and when. Exit 1 if it was not taken.",
        example="claudebench webhook test wh-1",
        arguments=("id",),
        meanings=ID,
        changes=False,
        fails=lambda answer: not answer["delivered"],
    ),
)
