"""The Lua of an app: what keeps to its own keys and events is read, what could reach others never gets to a store."""

from __future__ import annotations

import pytest

from claudebench.own.lua import Bounds, read
from claudebench.own.store import own_prefix
from claudebench.store.keys import Key
from claudebench.store.script import Script, ScriptError

GOOD = """-- probe: shows what a script of an app looks like.
--
-- uses  presence event refuse
-- KEYS  one many
-- ARGV  given_ms actor meta n text
-- Returns {position}.
if redis.call('EXISTS', k_one, k_many(n)) == 2 then return refuse(CONFLICT, 'no k in here, no [[ either') end
redis.call("HSET", k_many(n), 'text', text, unpack({'at', now_ms}))
redis.call('SET', k_one, n) -- once more: redis.call
return {emit('x.probe.done', n, '{}')}
"""
KEYS = {
    "one": Key("one", own_prefix("probe") + "one", "string", ""),
    "many": Key("many", own_prefix("probe") + "many:{n}", "hash", ""),
}
BOUNDS = Bounds("probe", KEYS, {"x.probe.done"})
SET = "redis.call('SET', k_one, n)"


def load(text: str) -> Script:
    """Return the script of a text."""
    return Script.of("x.probe", read("probe", text, BOUNDS))


def test_keys_are_spelt_under_the_app() -> None:
    """Each key of a script of an app is made of the workspace, `x:`, the app, and what the app calls it."""
    text = load(GOOD).text

    assert "redis.call('EXISTS', (K .. 'x:probe:one'), (K .. 'x:probe:many:' .. n))" in text
    assert "k_" not in text


def test_shared_parts_keep_their_keys() -> None:
    """A key of the app may have the name of one of ours: the shared parts mean theirs, the app its own."""
    bounds = Bounds("probe", {"meta": Key("meta", "x:probe:meta", "string", "")}, {"x.probe.done"})
    body = "redis.call('SET', k_meta, 1)\nreturn {emit('x.probe.done', '', '{}')}"
    header = "-- probe: p.\n-- uses  event\n-- KEYS  meta\n-- ARGV  given_ms actor meta\n-- Returns {position}.\n"

    text = Script.of("x.probe", read("probe", header + body, bounds)).text

    assert "redis.call('SET', (K .. 'x:probe:meta'), 1)" in text
    assert "redis.call('HEXISTS', (K .. 'meta3'), 'test')" in text


@pytest.mark.parametrize(
    "line",
    [
        "redis.call('SET', 'cb:{default}:meta', n)",
        "redis.call('SET', K .. 'meta', n)",
        "redis.call('SET', KEYS[1] .. 'meta', n)",
        "redis.call('SET', ARGV[1], n)",
        "redis.call('SET', n, k_one)",
        "redis.call('SET', k_one .. 'x', n)",
        "redis.call('SET', (k_one), n)",
        "redis.call('SET', k_many(n):sub(1), n)",
        "redis.call('SET', unpack({n, k_one}))",
        "redis.call('DEL', k_one, n)",
        "redis.call('DEL', k_one, unpack({n}))",
        "redis.call('DEL')",
        "redis.call('RENAME', k_one, n)",
        "redis.call('RENAME', k_one)",
        "redis.call('SORT', k_one, 'GET', 'cb:*')",
        "redis.call('EVAL', 'x', 0)",
        "redis.call('KEYS', '*')",
        "redis.call('PUBLISH', 'x', 'y')",
        "redis.call('CONFIG', 'GET', '*')",
        "redis.call('FLUSHALL')",
        "redis.call('\\83ET', k_one, n)",
        "redis.call('BITOP', 'NOT', k_one, n)",
        "redis.call('XREAD', 'STREAMS', n, '0')",
        "redis.call('ZUNIONSTORE', k_one, 1, n)",
        "redis.call(n, k_one)",
        "redis.call('GE' .. 'T', k_one)",
        "redis.call'TIME'",
        "redis.call{'TIME'}",
        "redis.pcall('GET', n)",
        "redis['call']('GET', n)",
        "local r = redis; r.call('GET', n)",
        "local call = redis.call; call('GET', n)",
        "pcall(redis.call, 'GET', n)",
        "redis.setresp(3)",
        "server.call('GET', n)",
        "_G.redis.call('GET', n)",
        "loadstring('return redis')()",
        "local t = {K = 1}",
        "emit('task.completed', n, '{}')",
        "emit('x.probe.undone', n, '{}')",
        "emit(n, n, '{}')",
        "emit('x.probe.done' .. n, n, '{}')",
        "local e = emit",
        "local t = [[ redis.call('FLUSHALL') ]]",
        "local t = 1 --[==[ x ]==]",
        "local t = 'k_one'",
        "local t = k_many('a,b')",
        "local t = k_many(')', n)",
        "local t = 'open",
        "local t = 1 \u00d7 2",
    ],
)
def test_what_could_reach_further_is_refused(line: str) -> None:
    """A line that reaches a key, a command or an event that is not the app's, or may, is not loaded."""
    with pytest.raises(ScriptError, match=r"^probe\.lua"):
        load(GOOD.replace(SET, f"{SET}\n{line}"))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("uses  presence", "uses  owner presence"), "uses owner is not for apps"),
        (("-- KEYS", "-- flags  no-writes\n-- KEYS"), "flags no-writes is not for apps"),
        (("-- KEYS", "-- when  true\n-- KEYS"), "when true is not for apps"),
        (("meta n text", "meta n text redis"), "'redis' cannot be the name"),
        (("meta n text", "meta n text a;b"), "'a;b' cannot be the name"),
        (("-- KEYS  one many", "-- KEYS  one many meta"), "differ on"),
        (("-- KEYS  one many", "-- KEYS  one"), "differ on"),
        (("k_many(n)", "k_many(n, n)"), "does not give the parts"),
        (("k_many(n)", "k_many"), "does not give the parts"),
        (("-- Returns {position}.", "-- It returns."), "does not say what it returns"),
        (("-- probe: shows", "-- shows"), "must begin with '-- probe"),
        (("meta n text", "meta n text extra"), "never uses its argument extra"),
    ],
)
def test_the_header_is_checked_like_ours(change: tuple[str, str], complaint: str) -> None:
    """The header of a script of an app is its signature: parts, flags, keys, arguments and reply."""
    with pytest.raises(ScriptError, match=complaint):
        load(GOOD.replace(*change))
