"""The webhooks of a workspace as subscriptions of this process, the same ones for as long as nobody changed them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from claudebench.errors import ClaudeBenchError
from claudebench.events.subscriber import Backoff, Figures, NotNow, Subscription
from claudebench.telemetry.sparse import Sparse
from claudebench.webhooks.sending import WHOLE_S, Message
from claudebench.webhooks.store import Listed

if TYPE_CHECKING:
    from claudebench.events.model import Event
    from claudebench.events.subscriber import Delivery
    from claudebench.webhooks.model import Kept
    from claudebench.webhooks.sending import Sender
    from claudebench.webhooks.store import WebhookStore

BACKOFF = Backoff(1.0, 300.0)
AT_ONCE = 4
RETRY_AFTER_MAX_S = 300.0
ASK_EVERY_S, ASKED_PER_S = 0.5, 256
GONE, TOO_MANY, AWAY = 410, 429, 503
_NONE = Listed("", {})
_switched_off = Sparse.to_log("warning")


class NotTaken(NotNow):
    """A receiver did not take an event."""


@dataclass(slots=True)
class Webhooks:
    """The webhooks that this process delivers to; `figures` counts over all of them."""

    store: WebhookStore
    sender: Sender
    figures: Figures = field(default_factory=Figures)
    _listed: dict[str, Listed] = field(default_factory=dict)
    _ask_at_s: dict[str, float] = field(default_factory=dict)
    _subscriptions: dict[str, dict[str, Subscription]] = field(default_factory=dict)  # by workspace and id

    async def subscriptions(self, workspace: str) -> list[Subscription]:
        """Return a subscription for each webhook that is on, as they were half a second ago at most.

        The store is asked with one call, which mostly says: as before. Of more than `ASKED_PER_S` workspaces each is
        asked less often.

        Raises:
            ClaudeBenchError: the store does not answer.
        """
        now_s = monotonic()
        if now_s >= self._ask_at_s.get(workspace, 0.0):
            self._ask_at_s[workspace] = now_s + max(ASK_EVERY_S, len(self._ask_at_s) / ASKED_PER_S)
            await self._learn(workspace)
        return list(self._subscriptions.get(workspace, {}).values())

    async def _learn(self, workspace: str) -> None:
        """Ask whether the webhooks are as they were."""
        listed = await self.store.changed(workspace, self._listed.get(workspace, _NONE).version)
        if listed is None:
            return
        self._listed[workspace] = listed
        former = self._subscriptions.get(workspace, {})
        on = [each for each in listed.kept.values() if each.is_on]
        self._subscriptions[workspace] = {each.id: former.get(each.id) or self._subscription(each) for each in on}

    def _subscription(self, webhook: Kept) -> Subscription:
        return Subscription(
            webhook.group,
            tuple(webhook.doc.events),
            partial(self._deliver, webhook.id),
            retries=webhook.doc.retries,
            backoff=BACKOFF,
            timeout_s=WHOLE_S + 5.0,
            registers=False,
            figures=self.figures,
            slots=asyncio.Semaphore(AT_ONCE),
        )

    async def _deliver(self, id_: str, event: Event, delivery: Delivery) -> None:
        """Send an event to a webhook as it is now; to one that is off or gone nothing is sent.

        Raises:
            NotNow: it was not taken.
            NotSent: it was not sent, or nobody answered.
        """
        with suppress(ClaudeBenchError):
            await self._learn(delivery.workspace)
        to = self._listed.get(delivery.workspace, _NONE).kept.get(id_)
        if to is None or not to.is_on:
            return
        reply = await self.sender.send(to, Message.of(to, event, delivery.workspace))
        if reply.status == GONE:
            await self._switch_off(to, delivery)
        elif not reply.is_success:
            later = reply.retry_after_s(RETRY_AFTER_MAX_S) if reply.status in (TOO_MANY, AWAY) else 0.0
            raise NotTaken(self.sender.said(to, reply), later)

    async def _switch_off(self, to: Kept, delivery: Delivery) -> None:
        if await self.store.switch_off(delivery.origin, to.id, f"the receiver answered {GONE} Gone"):
            _switched_off("a webhook was switched off: its receiver is gone", webhook=to.id)
