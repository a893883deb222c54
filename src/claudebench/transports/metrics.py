"""`GET /metrics`: this server's figures as Prometheus text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, SummaryMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from claudebench.events.bus import SEAM
from claudebench.transports.response import Response

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.metrics_core import Metric

    from claudebench.app import App
    from claudebench.events.listening import Listening
    from claudebench.events.subscriber import Figures
    from claudebench.record.projector import Projector

QUANTILES = (0.5, 0.95, 0.99)


def answer(app: App) -> Response:
    """Render the figures of now."""
    registry = CollectorRegistry()
    registry.register(_Figures(app))
    return Response(200, generate_latest(registry), ((b"content-type", CONTENT_TYPE_LATEST.encode()),))


class _Figures:
    def __init__(self, app: App) -> None:
        self._instruments = app.observer.instruments()
        self._store_up = app.connection.is_up
        self._spool = app.spool
        self._chain = app.chain
        self._sockets = app.observer.sockets()
        self._projector = app.projector
        self._listening = app.listening
        self._webhooks = app.webhooks.figures

    def collect(self) -> Iterator[Metric]:
        """Yield every family (prometheus_client calls this)."""
        up = GaugeMetricFamily("claudebench_store_up", "Whether a call to the store would be sent now")
        up.add_metric([], float(self._store_up))
        yield up
        waiting = GaugeMetricFamily("claudebench_spool_waiting", "Decisions that the log has not acknowledged")
        waiting.add_metric([], self._spool.waiting)
        yield waiting
        dropped = CounterMetricFamily(
            "claudebench_spool_dropped", "Decisions that are in no record: the spool was full"
        )
        dropped.add_metric([], self._spool.dropped)
        yield dropped
        if self._projector:
            yield from _record(self._projector)
        yield self._failures()
        yield from _subscribers(self._listening)
        yield from _deliveries(self._listening)
        yield from _webhooks(self._webhooks)
        yield from self._socket_figures()
        seconds = SummaryMetricFamily(
            "claudebench_command_seconds", "Duration of commands", labels=["command", "pattern"]
        )
        quantiles = GaugeMetricFamily(
            "claudebench_command_quantile_seconds",
            "Upper bound of a quantile of the duration since start",
            labels=["command", "pattern", "quantile"],
        )
        errors = CounterMetricFamily(
            "claudebench_command_errors", "Errors by code", labels=["command", "pattern", "code"]
        )
        for each in self._instruments:
            if each.latency.count:
                seconds.add_metric([each.name, each.pattern], each.latency.count, each.latency.total_us / 1e6)
                for share in QUANTILES:
                    edge_ms = each.latency.quantile_ms(share) or 0.0
                    quantiles.add_metric([each.name, each.pattern, str(share)], edge_ms / 1e3)
            for code, count in each.errors.items():
                errors.add_metric([each.name, each.pattern, str(code)], count)
        yield from (seconds, quantiles, errors)

    def _socket_figures(self) -> Iterator[Metric]:
        figures = self._sockets
        held = GaugeMetricFamily(
            "claudebench_sockets_open", "WebSockets and event streams that are open", labels=["kind"]
        )
        held.add_metric(["websocket"], figures.web_sockets)
        held.add_metric(["sse"], figures.streams)
        yield held
        for name, meaning, count in (
            ("deliveries", "Events sent, counted for each who got them", figures.deliveries),
            ("lagged", "Sockets cut because they did not take what they were sent", figures.lagged),
            ("gaps", "Sockets told that events are missing", figures.gaps),
            ("pages", "Pages read from the log, because the ring did not reach back so far", figures.pages),
        ):
            family = CounterMetricFamily(f"claudebench_socket_{name}", meaning)
            family.add_metric([], count)
            yield family

    def _failures(self) -> Metric:
        failures = CounterMetricFamily(
            "claudebench_hook_failures", "Calls that a hook decided by its fail mode", labels=["hook", "trouble"]
        )
        for link in self._chain.links:
            for trouble, count in link.failures.items():
                failures.add_metric([link.name, trouble], count)
        return failures


def _subscribers(listening: Listening) -> Iterator[Metric]:
    behind = GaugeMetricFamily(
        "claudebench_subscriber_behind_seconds",
        "Age of the oldest event that a subscriber has yet to handle in this process",
        labels=["group"],
    )
    for group, lag_s in listening.lags_s():
        behind.add_metric([group], lag_s)
    yield behind
    for name, meaning in (
        ("handled", "Events that a subscriber handled"),
        ("failed", "Tries of a subscriber that failed"),
        ("timed_out", "Tries of a subscriber that did not end in time"),
        ("dead", "Events that a subscriber gave up on"),
    ):
        family = CounterMetricFamily(f"claudebench_subscriber_{name}", meaning, labels=["group"])
        for each in listening.subscriptions:
            family.add_metric([each.group], getattr(each.figures, name))
        yield family


def _deliveries(listening: Listening) -> Iterator[Metric]:
    """Yield what is in force where, and how deliveries went under each strategy."""
    in_force = GaugeMetricFamily(
        "claudebench_seam_strategy",
        "The strategy that works at a seam of a workspace in this process",
        labels=["seam", "workspace", "strategy"],
    )
    for workspace, place in listening.places.items():
        if place.seat.strategy:
            in_force.add_metric([SEAM, workspace, place.seat.strategy], 1)
    yield in_force
    tries = SummaryMetricFamily("claudebench_delivery_seconds", "Tries of subscribers", labels=["strategy"])
    failed = CounterMetricFamily("claudebench_delivery_failed", "Tries that failed", labels=["strategy"])
    for strategy, each in listening.means.instruments.items():
        if each.latency.count:
            tries.add_metric([strategy], each.latency.count, each.latency.total_us / 1e6)
            failed.add_metric([strategy], each.errors.total())
    yield from (tries, failed)
    lost = CounterMetricFamily(
        "claudebench_delivery_lost",
        "What distributed delivery lost: events that found no room, and times at which its channel was interrupted",
        labels=["cause"],
    )
    lost.add_metric(["dropped"], listening.means.losses.dropped)
    lost.add_metric(["interrupted"], listening.means.losses.interruptions)
    yield lost


def _webhooks(figures: Figures) -> Iterator[Metric]:
    for name, meaning in (
        ("handled", "Events that receivers of webhooks took"),
        ("failed", "Tries to send an event to a webhook that failed"),
        ("dead", "Events that webhooks gave up on"),
    ):
        family = CounterMetricFamily(f"claudebench_webhook_{name}", meaning)
        family.add_metric([], getattr(figures, name))
        yield family


def _record(projector: Projector) -> Iterator[Metric]:
    behind = GaugeMetricFamily(
        "claudebench_record_behind_seconds", "How far the record lies behind the log, as far as this server knows"
    )
    behind.add_metric([], projector.behind_ms / 1e3)
    up = GaugeMetricFamily("claudebench_record_up", "Whether the record is written, or would be if this server did it")
    up.add_metric([], float(not projector.trouble))
    events = CounterMetricFamily("claudebench_record_events", "Events that this server has recorded")
    events.add_metric([], projector.figures.events)
    refused = CounterMetricFamily("claudebench_record_refused", "Events that a table of the record could not take")
    refused.add_metric([], projector.figures.refused)
    yield from (behind, up, events, refused)
