"""Cursors, dead letters and switches are their plain model and keep what they promise, whoever is late for whatever."""

from __future__ import annotations

import os

import pytest
from hypothesis import Phase
from hypothesis.errors import Flaky
from tests.model.delivery_machine import EFFECT, run

from claudebench.app import SCRIPTS
from claudebench.store.script import Text

ROUND = 200

# What is planted: the script it goes into ("" for all that hold it), what stands there, and what stands there instead.
BUGS = {
    "a stale fence counts": ("", "tonumber(kept[2]) == tonumber(fence)", "true"),
    "another's fence counts": ("", "kept[1] == holder and", "kept[1] and"),
    "a position goes back": ("cursor_commit", "if is_processed(group, partition, position) then return end", ""),
    "an epoch that is over counts": ("", "if is_outdated('events', kept[3]) then return", "if false then return"),
    "an epoch that is over takes": ("cursor_take", "if is_outdated('events', epoch) then", "if false then"),
    "what an epoch left is not free": ("cursor_take", "is_outdated('events', kept[5])", "false"),
    "what ends does not count": ("", "'undoing') and 1 or 0", "'undoing') and 0 or 0"),
    "no jump where nobody released": ("cursor_take", "if cursor[4] then", "if false then"),
    "a jump where somebody released": ("cursor_release", "'untilMs', 0, 'live', 0)", "'untilMs', 0)"),
    "a jump to the beginning": (
        "cursor_take",
        "redis.call('XREVRANGE', (K .. 'ev'), '+', '-',",
        "redis.call('XRANGE', (K .. 'ev'), '-', '+',",
    ),
    "switched before all have stopped": ("seam_switch", " or not_all(w, 'stopped')", ""),
    "undone before all have stopped": ("seam_undo", " or not_all(w, 'stopped')", ""),
    "who was passed over comes back": ("", "  expire_members()\n  w.epoch", "  w.epoch"),
    "completed before all run": ("seam_complete", " or not_all(w, 'running')", ""),
    "a former leader takes steps": ("", "and tonumber(kept[2]) == tonumber(term)", ""),
    "a step happens twice": ("", " or w.epoch ~= tonumber(epoch)", ""),
    "an epoch is had twice": ("seam_give_up", "enter(w, 1)", "enter(w, 0)"),
    "a retry is never processed": (
        "",
        "then return not redis.call('ZSCORE'",
        "then return false and redis.call('ZSCORE'",
    ),
    "a death is not marked": ("dead_write", "  mark_processed(group, partition, position)\nend", "end"),
}


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A bug in every script that holds the place for it."""
    name, old, new = BUGS[request.param]
    holding = [each for each in (*SCRIPTS, EFFECT) if name in {"", each.name} and old in each.text]
    assert holding, f"{old} stands nowhere"
    for script in holding:
        monkeypatch.setattr(script, "plain", Text(script.text.replace(old, new), script.latency))
    return str(request.param)


def test_delivery_is_its_model(store_socket: str) -> None:
    """After any sequence of steps every answer and all that can be read is what the plain model says, as promised."""
    run(store_socket, 50, 60, derandomize=True, phases=[Phase.generate])


@pytest.mark.soak
def test_delivery_is_its_model_for_long(store_socket: str) -> None:
    """The same over thousands of sequences, which differ each time; in rounds, since what draws them remembers each."""
    for _ in range(0, int(os.environ.get("SOAK_RUNS", "2000")), ROUND):
        run(store_socket, ROUND, 100)


@pytest.mark.soak
@pytest.mark.parametrize("planted", BUGS, indirect=True)
def test_a_planted_bug_is_found(store_socket: str, planted: str) -> None:
    """The machine finds each of these bugs, if somebody plants it in the scripts."""
    with pytest.raises((AssertionError, Flaky)):  # which bug shows when depends on the ids that the store gives
        run(store_socket, 500, 100, phases=[Phase.generate])
