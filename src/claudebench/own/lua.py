"""Reads the Lua of an app before a store does, and refuses what could reach a key that is not its own.

How far: a script is cut into words. Every `redis.call` must name its command as a text, the command must be one whose
keys stand at known places (`KEYED`), and at each of these places must stand `k_<key>` or `k_<key>(parts)` of a key
that the app declares; it is spelt under the app's prefix, whatever the parts hold. `redis` may be named for nothing
else, and what leads around it (`K`, `KEYS`, `_G`, `loadstring`, long brackets, ...) may not be named at all. So a
script that loads touches keys of its app only, those of the shared parts apart. What is not read is sense: loops
without an end, parts of a key that come from a caller, wrong types. Nor is the app's Python, which could do anything.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from claudebench.store.script import ScriptError, Source

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from claudebench.store.keys import Key

PARTS = ("clock", "event", "presence", "processed", "refuse", "sweep")
FLAGS = ("allow-oom",)
_FORBIDDEN = """
    K KEYS _G _ENV server debug package require module load loadstring loadfile dofile getfenv setfenv rawset
"""
_BESIDE_CALL = frozenset({"sha1hex", "error_reply", "status_reply", "log", "LOG_WARNING", "LOG_NOTICE"})
_RESERVED = """
    and break do else elseif end false for function goto if in local nil not or repeat return then true until
    while redis emit refuse now_ms once_key fingerprint
"""
_ONE = """
    APPEND BITCOUNT BITFIELD BITFIELD_RO BITPOS DECR DECRBY EXPIRE EXPIREAT EXPIRETIME GEOADD GEODIST GEOHASH
    GEOPOS GEOSEARCH GET GETBIT GETDEL GETEX GETRANGE GETSET HDEL HEXISTS HGET HGETALL HINCRBY HINCRBYFLOAT
    HKEYS HLEN HMGET HMSET HRANDFIELD HSET HSETNX HSTRLEN HVALS INCR INCRBY INCRBYFLOAT LINDEX LINSERT LLEN LPOP
    LPOS LPUSH LPUSHX LRANGE LREM LSET LTRIM PERSIST PEXPIRE PEXPIREAT PEXPIRETIME PFADD PSETEX PTTL RPOP RPUSH
    RPUSHX SADD SCARD SET SETBIT SETEX SETNX SETRANGE SISMEMBER SMEMBERS SMISMEMBER SPOP SRANDMEMBER SREM STRLEN
    TTL TYPE XADD XDEL XLEN XRANGE XREVRANGE XTRIM ZADD ZCARD ZCOUNT ZINCRBY ZLEXCOUNT ZMSCORE ZPOPMAX ZPOPMIN
    ZRANDMEMBER ZRANGE ZRANGEBYLEX ZRANGEBYSCORE ZRANK ZREM ZREMRANGEBYLEX ZREMRANGEBYRANK ZREMRANGEBYSCORE
    ZREVRANGE ZREVRANGEBYLEX ZREVRANGEBYSCORE ZREVRANK ZSCORE
"""
_TWO = "GEOSEARCHSTORE LCS LMOVE RENAME RENAMENX RPOPLPUSH SMOVE ZRANGESTORE"
_ALL = "DEL EXISTS MGET PFCOUNT PFMERGE SDIFF SDIFFSTORE SINTER SINTERSTORE SUNION SUNIONSTORE TOUCH UNLINK"
_EVERY = -1
KEYED = (
    {"TIME": 0} | dict.fromkeys(_ONE.split(), 1) | dict.fromkeys(_TWO.split(), 2) | dict.fromkeys(_ALL.split(), _EVERY)
)
_WORD = re.compile(
    r"""(?P<comment>--[^\n]*)
      | (?P<text>'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<number>[0-9][0-9A-Za-z.]*)
      | (?P<space>\s+)
      | (?P<sign>.)""",
    re.VERBOSE | re.DOTALL,
)
_LONG_BRACKET = re.compile(r"(--)?\[=*\[")
_IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]*\Z")
_OPEN, _CLOSE = frozenset("([{"), frozenset(")]}")


class Word(NamedTuple):
    """A word of Lua."""

    kind: str
    text: str


class Bounds(NamedTuple):
    """What the scripts of an app may name: its keys, already spelt under its prefix, and its events."""

    app: str
    keys: Mapping[str, Key]
    events: Collection[str]


def read(name: str, text: str, bounds: Bounds) -> Source:
    """Return the script `name` of an app.

    Raises:
        ScriptError: its header and body disagree, or it could reach what is not the app's.
    """
    raw = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
    words = list(_words(name, raw))
    for at, word in enumerate(words):
        if word.kind == "name":
            _check_name(name, words, at, bounds)
        elif word.kind == "text" and re.search(r"\bk_\w", word.text):
            raise ScriptError(f"{name}.lua: k_ within a text names no key: {word.text}")
        elif word.kind == "sign" and not word.text.isascii():
            raise ScriptError(f"{name}.lua: {word.text!r} is no Lua")
    source = Source(name, text, bounds.keys)
    _check_header(source)
    return source


def _words(name: str, body: str) -> Iterator[Word]:
    for found in _WORD.finditer(body):
        kind = found.lastgroup or ""
        if kind in {"comment", "sign"} and (bracket := _LONG_BRACKET.match(body, found.start())):
            raise ScriptError(f"{name}.lua: long brackets {bracket[0]} are not read; write a quoted text")
        if found[0] in {"'", '"'}:
            raise ScriptError(f"{name}.lua: a text is not closed on its line")
        if kind not in {"comment", "space"}:
            yield Word(kind, found[0])


def _check_header(source: Source) -> None:
    for field, known in (("uses", PARTS), ("flags", FLAGS), ("needs", ()), ("when", ())):
        if wrong := [word for word in source.words(field) if word not in known]:
            raise ScriptError(f"{source.name}.lua: {field} {wrong[0]} is not for apps; there are: {' '.join(known)}")
    for word in source.words("ARGV"):
        if word != "..." and (not _IDENTIFIER.match(word) or word in _RESERVED.split() or word.startswith("k_")):
            raise ScriptError(f"{source.name}.lua: {word!r} cannot be the name of an argument")


def _check_name(name: str, words: list[Word], at: int, bounds: Bounds) -> None:
    text = words[at].text
    if text in _FORBIDDEN.split():
        raise ScriptError(f"{name}.lua names {text}, which no script of an app may; a key is written k_<name>")
    if text == "redis":
        _check_redis(name, words, at)
    if text == "emit":
        _check_emit(name, words, at, bounds)
    if text.startswith("k_") and _shown(words, at + 1) == "(":
        _check_parts(name, text, _arguments(words, at + 2))


def _check_redis(name: str, words: list[Word], at: int) -> None:
    member = _shown(words, at + 2) if _shown(words, at + 1) == "." else ""
    if member in _BESIDE_CALL:
        return
    if member not in {"call", "pcall"} or _shown(words, at + 3) != "(":
        raise ScriptError(f"{name}.lua: redis is for redis.call('COMMAND', k_key, ...) only")
    first, *arguments = _arguments(words, at + 4)
    if len(first) != 1 or first[0].kind != "text":
        raise ScriptError(f"{name}.lua: redis.{member} must name its command as a text")
    command = first[0].text[1:-1].upper()
    if command not in KEYED:
        raise ScriptError(f"{name}.lua calls {command}, which no script of an app may")
    count = len(arguments) if KEYED[command] == _EVERY else KEYED[command]
    for place in range(max(count, KEYED[command] == _EVERY)):
        if place >= len(arguments) or not _is_key(arguments[place]):
            shown = " ".join(word.text for word in arguments[place]) if place < len(arguments) else "nothing"
            raise ScriptError(f"{name}.lua: {command} wants a key of the app, k_<name>, and finds {shown}")


def _check_emit(name: str, words: list[Word], at: int, bounds: Bounds) -> None:
    if _shown(words, at + 1) != "(" or not (first := _arguments(words, at + 2)[0]) or first[0].kind != "text":
        raise ScriptError(f"{name}.lua: emit('x.{bounds.app}.<fact>', subject, payload) names its event as a text")
    if len(first) != 1 or first[0].text[1:-1] not in bounds.events:
        shown = "".join(word.text for word in first)
        raise ScriptError(f"{name}.lua emits {shown}, which is no event that {bounds.app} declares")


def _check_parts(name: str, key: str, parts: list[list[Word]]) -> None:
    """Refuse a part of a key that the loader, which cuts at commas and brackets, would cut within a text."""
    if any(word.kind == "text" and set("(),") & set(word.text) for part in parts for word in part):
        raise ScriptError(f"{name}.lua: a part of {key} holds a bracket or a comma in a text; put it into a local")


def _is_key(argument: list[Word]) -> bool:
    """Whether an argument is `k_<name>` or `k_<name>(...)` and nothing more."""
    if not argument or argument[0].kind != "name" or not argument[0].text.startswith("k_"):
        return False
    return len(argument) == 1 or (
        argument[1].text == "(" and argument[-1].text == ")" and not any(word.text in "()" for word in argument[2:-1])
    )


def _arguments(words: list[Word], at: int) -> list[list[Word]]:
    """Return the arguments of a call whose first word stands at `at`."""
    found: list[list[Word]] = [[]]
    depth = 0
    for word in words[at:]:
        if word.kind == "sign" and word.text in _CLOSE:
            depth -= 1
            if depth < 0:
                break
        if word.kind == "sign" and word.text == "," and not depth:
            found.append([])
            continue
        depth += word.kind == "sign" and word.text in _OPEN
        found[-1].append(word)
    return found


def _shown(words: list[Word], at: int) -> str:
    return words[at].text if 0 <= at < len(words) and words[at].kind != "text" else ""
