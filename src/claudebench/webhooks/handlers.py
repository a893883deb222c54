"""Commands on webhooks: who gets events sent, and how that goes. Changes are the operator's."""

from __future__ import annotations

import secrets
from time import monotonic
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from claudebench.errors import InvalidParams, NotFound, nearest
from claudebench.events.cursor import Cursors
from claudebench.events.letters import DeadLetters
from claudebench.events.log import EventLog
from claudebench.patterns.label import Consistency, Pattern
from claudebench.resilience.policy import Policy
from claudebench.rpc.command import handler
from claudebench.rpc.context import Context
from claudebench.telemetry.time import iso
from claudebench.webhooks import model
from claudebench.webhooks.address import Refused, target_of
from claudebench.webhooks.sending import WHOLE_S, Message, NotSent, Sender
from claudebench.webhooks.signing import new_secret
from claudebench.webhooks.store import WebhookStore

if TYPE_CHECKING:
    from claudebench.events.model import Catalogue
    from claudebench.webhooks.address import Target

A, LINEARIZABLE = Pattern.CENTRALIZED, Consistency.LINEARIZABLE
HIDDEN = "/***"


@handler("webhook.add", pattern=A, consistency=LINEARIZABLE, operator=True)
async def add(
    request: model.Add, context: Context, webhooks: WebhookStore, sender: Sender, log: EventLog
) -> model.Added:
    """Send events to a URL from now on; the answer holds the secret that signs them, which is shown this once."""
    _check_events(request.events, log.catalogue)
    target = await _checked(request.url, sender)
    wanted = list(dict.fromkeys(request.events))
    doc = model.Doc(request.url, wanted, request.description, request.retries, secrets.token_hex(8))
    change = await webhooks.add(context.origin(), doc, new_secret(), target.origin)
    id_, at_ms = context.at(change)
    return model.Added(id_, await _secret(id_, context, webhooks), iso(at_ms))


def _check_events(events: list[str], catalogue: Catalogue) -> None:
    issues = [
        {"path": f"events[{at}]", "message": f"there is no event of type {each!r}"}
        | ({"nearest": near} if (near := catalogue.nearest(each)) else {})
        for at, each in enumerate(events)
        if not catalogue.knows(each)
    ]
    if issues:
        raise InvalidParams(issues[0]["message"], errors=issues)


async def _checked(url: str, sender: Sender) -> Target:
    try:
        return await sender.check(url)
    except Refused as error:
        raise InvalidParams(str(error), errors=[{"path": "url", "message": str(error)}]) from None


async def _secret(id_: str, context: Context, webhooks: WebhookStore) -> str:
    """Return the secret as it is stored: a call that is repeated under its idempotency key made none of its own."""
    return (await _one(id_, context, webhooks)).secret


async def _one(id_: str, context: Context, webhooks: WebhookStore) -> model.Kept:
    known = await webhooks.list(context.workspace)
    if id_ not in known:
        raise NotFound(f"there is no webhook {id_!r}", nearest=nearest(id_, known))
    return known[id_]


@handler("webhook.list", pattern=A, consistency=LINEARIZABLE, changes=False)
async def list_(request: model.ListWebhooks, context: Context, webhooks: WebhookStore) -> model.Webhooks:  # noqa: ARG001
    """Return the webhooks of the workspace, without their secrets."""
    known = await webhooks.list(context.workspace)
    return model.Webhooks([model.Webhook(**_shown(each, context)) for each in known.values()])


def _shown(kept: model.Kept, context: Context) -> dict[str, Any]:
    doc, former_until = kept.doc, kept.former_ms if len(kept.secrets) > 1 else 0
    return {
        "id": kept.id,
        "url": doc.url if context.is_operator else target_of(doc.url).origin + HIDDEN,
        "events": doc.events,
        "description": doc.description,
        "retries": doc.retries,
        "state": "on" if kept.is_on else "off",
        "created_at": iso(kept.created_ms),
        "off_at": UNSET if kept.is_on else iso(kept.off_ms),
        "off_because": kept.off or UNSET,
        "former_secret_until": iso(former_until) if former_until else UNSET,
    }


@handler("webhook.show", pattern=A, consistency=LINEARIZABLE, changes=False)
async def show(
    request: model.One, context: Context, webhooks: WebhookStore, cursors: Cursors, letters: DeadLetters
) -> model.Shown:
    """Return one webhook, how far it has come, and what it was not rid of."""
    kept = await _one(request.id, context, webhooks)
    lags = await cursors.lag(context.workspace, kept.group)
    counts = await letters.counts(context.workspace, kept.group)
    return model.Shown(
        **_shown(kept, context),
        behind=max((each.behind for each in lags), default=0),
        behind_exact=all(each.is_exact for each in lags),
        behind_ms=max((each.behind_ms for each in lags), default=0),
        dead=counts.dead,
        retrying=counts.retrying,
    )


@handler("webhook.remove", pattern=A, consistency=LINEARIZABLE, operator=True)
async def remove(request: model.One, context: Context, webhooks: WebhookStore) -> model.Removed:
    """Send nothing to a webhook any more, and forget it with its secrets and dead letters."""
    context.at(await webhooks.remove(context.origin(), request.id))
    return model.Removed(request.id, removed=True)


@handler("webhook.rotate", pattern=A, consistency=LINEARIZABLE, operator=True)
async def rotate(request: model.Rotate, context: Context, webhooks: WebhookStore) -> model.Rotated:
    """Sign with a new secret, which is shown this once, and for a while with the former one too."""
    change = await webhooks.rotate(context.origin(), request.id, new_secret(), request.keep_s * 1000)
    until_ms = context.at(change)
    return model.Rotated(request.id, await _secret(request.id, context, webhooks), iso(until_ms))


@handler(
    "webhook.test",
    pattern=A,
    consistency=LINEARIZABLE,
    changes=False,
    operator=True,
    policy=Policy(timeout_s=WHOLE_S + 5.0),
)
async def test(request: model.One, context: Context, webhooks: WebhookStore, sender: Sender) -> model.Tested:
    """Send a signed `webhook.ping` now, whatever else waits, and return what came of it."""
    kept = await _one(request.id, context, webhooks)
    began_s = monotonic()
    try:
        reply = await sender.send(kept, Message.ping(kept, context.workspace))
    except NotSent as error:
        return model.Tested(delivered=False, took_ms=_since_ms(began_s), error=str(error))
    said = UNSET if reply.is_success else sender.said(kept, reply)
    return model.Tested(delivered=reply.is_success, took_ms=_since_ms(began_s), status=reply.status, error=said)


def _since_ms(began_s: float) -> int:
    return round((monotonic() - began_s) * 1000)


COMMANDS = (add, list_, show, remove, rotate, test)
