"""The ledger is its plain model, under any sequence of commands, deaths, lease ends, jumps of the clock and repeats."""

from __future__ import annotations

import os

import pytest
from hypothesis import Phase
from tests.model.machine import REFUSALS, run

from claudebench.app import SCRIPTS
from claudebench.errors import ClaudeBenchError
from claudebench.store.script import Script, Text

# What is planted: the scripts it goes into ("" for all that hold it), what stands there, and what stands there instead.
BUGS = {
    "epoch not raised on return": ("", "'pending', '', t.epoch + 1, true", "'pending', '', t.epoch, true"),
    "denied not honoured": ("claim", "local low, high = 0, redis.call('ZCARD', denied)", "local low, high = 0, 0"),
    "freed by a failure": ("", "if is == 'completed' then", "if is == 'completed' or is == 'failed' then"),
    "lease not removed on complete": ("complete", "if t.lease_ms > 0 then", "if false then"),
    "capacity off by one": ("", "< limits.capacity", "<= limits.capacity"),
    "stale epoch not refused": ("", "tonumber(epoch) ~= t.epoch end", "false end"),
    "attempt kept on release": ("release", "t.attempts = t.attempts - 1", "t.attempts = t.attempts"),
    "no grace after an absence": ("", "if gap_ms > SWEEP_GAP_MS or", "if"),
    "key not honoured": ("", "local is_over = until_ms and until_ms <= now_ms", "local is_over = true"),
    "least urgent first": ("claim", "tonumber(head[2]) < found_rank", "tonumber(head[2]) > found_rank"),
}


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A bug in every script that holds the place for it."""
    room, old, new = BUGS[request.param]
    holding = [each for each in SCRIPTS if room in {"", each.name} and any(old in text.text for text in each.texts)]
    assert holding, f"{old} stands nowhere"
    for script in holding:
        _plant(monkeypatch, script, old, new)
    return str(request.param)


def _plant(monkeypatch: pytest.MonkeyPatch, script: Script, old: str, new: str) -> None:
    monkeypatch.setattr(script, "plain", Text(script.plain.text.replace(old, new), script.latency))
    if script.keyed:
        monkeypatch.setattr(script, "keyed", Text(script.keyed.text.replace(old, new), script.latency))


def test_the_ledger_is_its_model(store_socket: str) -> None:
    """After any sequence of steps every answer, every stored field and every event is what the plain ledger says."""
    run(store_socket, 60, 100, derandomize=True, phases=[Phase.generate])


@pytest.mark.soak
def test_the_ledger_is_its_model_for_long(store_socket: str) -> None:
    """The same over many long sequences, which differ each time."""
    run(store_socket, int(os.environ.get("SOAK_RUNS", "200")), 200)


@pytest.mark.soak
@pytest.mark.parametrize("planted", BUGS, indirect=True)
def test_a_planted_bug_is_found(store_socket: str, planted: str) -> None:
    """The machine finds each of these bugs, if somebody plants it in the scripts."""
    with pytest.raises(AssertionError):
        run(store_socket, 300, 80, phases=[Phase.generate])


def test_refusals_are_errors_of_the_tree() -> None:
    """Whatever the machine takes for a refusal is an error of ours, so that a failure of the store is not one."""
    assert all(issubclass(refusal, ClaudeBenchError) for refusal in REFUSALS)
