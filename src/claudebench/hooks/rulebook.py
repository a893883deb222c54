"""Which rules are in force where a call comes from: the built-in ones, the user's, those of its repository.

    built-in  <-  user (~/.config/claudebench/rules.toml)  <-  .claudebench/rules.toml of every folder above the call

An inner file adds rules and overrides the action of outer ones. A repository's file may only tighten: an override that
loosens counts only while the operator's signature (signature.py) stands under exactly this text.

Files are looked at again once they were not looked at for `FRESH_S`, and read again when they changed. One that cannot
be read any more, or not be reached, leaves what it last said in force; one that never could be read makes every call
ask. Only a file that is not there says nothing: to take one away is the right of whoever owns the folder.

Where symbolic links lead to the call's folder, the folders above the real one count and those above the named one;
what is reached by a link may tighten only.
"""

from __future__ import annotations

import asyncio
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib import resources
from itertools import islice
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import msgspec

from claudebench.errors import SettingsError, nearest
from claudebench.hooks import expressions
from claudebench.hooks.model import STRICTNESS
from claudebench.hooks.rulefile import FILE_BYTES_MAX, RuleFile, expressions_of, read
from claudebench.hooks.rules import Rule, RuleSet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from claudebench.hooks.rulefile import Override
    from claudebench.hooks.signature import Signature

FRESH_S = 1.0
FOLDERS_KEPT_MAX = 1_024
SETS_KEPT_MAX = 64
TROUBLE_CHARS_MAX = 500
FOLDERS_ABOVE_MAX = 64
REPOSITORY_FILE = ".claudebench/rules.toml"
REPOSITORY_BYTES_MAX = 64 * 1024
GUARD = "guard"
UNREACHABLE = (0,)  # the stamp of what is there and cannot be reached

_Stamp = tuple[int, ...]
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Ground(NamedTuple):
    """What a call stands on: the rules in force there, the root of its repository, and the files that were there."""

    rules: RuleSet
    root: str | None = None
    layers: tuple[Layer, ...] = ()


class Layer(msgspec.Struct, frozen=True):
    """One file as it counts: whether it may loosen; `trouble`: nobody knows what it says; `stale`: it said so once."""

    path: str
    file: RuleFile
    loosens: bool = False
    trouble: str = ""
    stale: str = ""


class _Kept(msgspec.Struct):
    """A file as it was last read."""

    stamp: _Stamp | None = None
    file: RuleFile | None = None
    text: str = ""
    error: str = ""
    seen: str | None = None  # what stood there when it was last looked at, sound or not


@cache
def builtin_file() -> RuleFile:
    """Return the rules that come with the guard."""
    text = resources.files("claudebench.hooks").joinpath("rulesets", "builtin.toml").read_text()
    file = read(text, "builtin.toml")
    expressions.vouch(expressions_of(file.rules))
    return file


@cache
def builtin() -> RuleSet:
    """Return the built-in rules as a set of their own."""
    return RuleSet(builtin_file().rules)


def compose(layers: Iterable[Layer]) -> RuleSet:
    """Put files over each other, the outermost first.

    Raises:
        SettingsError: an inner file uses an id again, or overrides a rule that there is not.
    """
    rules = {rule.id: rule for rule in builtin_file().rules}
    off: dict[str, bool] = {}
    troubles = []
    for layer in layers:
        troubles += [layer.trouble] if layer.trouble else []
        for override in layer.file.overrides:
            _override(rules, override, layer)
        for rule in layer.file.rules:
            if rule.id in rules:
                raise SettingsError(f"{layer.path}: rule {rule.id!r} exists already; change it by [[override]]")
            rules[rule.id] = rule
        off |= {switch.name: not switch.enabled for switch in layer.file.hooks if layer.loosens}
    if off.get(GUARD):
        raise SettingsError("the guard itself cannot be switched off by [[hook]]")
    return RuleSet(tuple(rules.values()), "; ".join(troubles), frozenset(name for name in off if off[name]))


def _override(rules: dict[str, Rule], override: Override, layer: Layer) -> None:
    rule = rules.get(override.id)
    if rule is None:
        like = nearest(override.id, rules)
        hint = f"; did you mean {like!r}?" if like else ""
        raise SettingsError(f"{layer.path}: [[override]] of {override.id!r}, which is no rule{hint}")
    new = 0 if override.action == "off" else STRICTNESS[override.action]
    if new < STRICTNESS[rule.action] and not layer.loosens:
        return
    if override.action == "rewrite" and not (rule.command and all(match.wrapped for match in rule.command)):
        raise SettingsError(f"{layer.path}: {rule.id!r} cannot be 'rewrite': not all its commands name 'wrapped'")
    if override.action == "off":
        del rules[rule.id]
    else:
        rules[rule.id] = msgspec.structs.replace(rule, action=override.action)


class Rulebook:
    """Every rule file that matters to this process, read when it has changed."""

    def __init__(
        self,
        user: Path | None = None,
        signature: Signature | None = None,
        *,
        clock: Callable[[], float] = monotonic,
        on_error: Callable[[str], None] | None = None,
    ) -> None:
        """Take the user's file, who checks signatures, the clock, and whom to tell about an unreadable file."""
        self.user = user
        self._signature = signature
        self._clock = clock
        self._on_error = on_error
        self._files: dict[str, _Kept] = {}
        self._sets: dict[tuple[Layer, ...], RuleSet] = {}
        self._grounds: dict[str | None, tuple[float, Ground]] = {}
        self._reader = ThreadPoolExecutor(1, "rules")

    async def at(self, cwd: str | None) -> Ground:
        """Return the rules for a call from this folder; files are read off the event loop."""
        kept = self._grounds.get(cwd)
        if kept is not None and self._clock() - kept[0] < FRESH_S:
            return kept[1]
        return await asyncio.get_running_loop().run_in_executor(self._reader, self.look, cwd)

    def look(self, cwd: str | None) -> Ground:
        """Read what has changed and return the rules for a call from this folder; one thread at a time."""
        try:
            ground = self._ground(cwd)
        except Exception as error:  # noqa: BLE001 - a file that breaks this in an unknown way must not end in an allow
            ground = Ground(self._in_trouble(f"the rules of {cwd!r} cannot be read: {error!r}"[:TROUBLE_CHARS_MAX]))
        now = self._clock()
        while self._grounds and now - next(iter(self._grounds.values()))[0] >= FRESH_S:
            del self._grounds[next(iter(self._grounds))]
        _keep(self._grounds, cwd, (now, ground), FOLDERS_KEPT_MAX)
        return ground

    def _ground(self, cwd: str | None) -> Ground:
        named, real = _ways(cwd)
        root = next((folder for folder in (*named, *real) if os.path.lexists(f"{folder}/.git")), None)
        layers = tuple(layer for layer in self._layers(named, real) if layer)
        if max(len(named), len(real)) > FOLDERS_ABOVE_MAX:
            deep = f"{cwd}: lies more than {FOLDERS_ABOVE_MAX} folders deep, further than rules are looked for"
            layers = (*layers, Layer(str(cwd), RuleFile(), trouble=deep))
        return Ground(self._composed(layers), root, layers)

    def check(self) -> None:
        """Raise SettingsError when the user's own file cannot be used."""
        rules = self.look(None).rules
        if rules.trouble:
            raise SettingsError(rules.trouble)

    def _layers(self, named: list[str], real: list[str]) -> Iterator[Layer | None]:
        """Yield the files, the outermost first; those that only a link leads to before the call's real ones."""
        if self.user is not None:
            yield self._layer(str(self.user), FILE_BYTES_MAX, own=True)
        own = [f"{folder}/{REPOSITORY_FILE}" for folder in reversed(real[:FOLDERS_ABOVE_MAX])]
        there = {os.path.realpath(path) for path in own} if named != real else set()
        for folder in reversed(named[:FOLDERS_ABOVE_MAX] if named != real else []):
            path = f"{folder}/{REPOSITORY_FILE}"
            if os.path.realpath(path) not in there:
                yield self._layer(path, REPOSITORY_BYTES_MAX, own=False, linked=True)
        for path in own:
            yield self._layer(path, REPOSITORY_BYTES_MAX, own=False)

    def _layer(self, path: str, bytes_max: int, *, own: bool, linked: bool = False) -> Layer | None:
        kept = self._files.get(path)
        try:
            stamp = _stamp(path)
        except (OSError, ValueError) as error:
            if kept is None or kept.stamp != UNREACHABLE:
                kept = self._failed(f"{path}: cannot be reached: {error}", UNREACHABLE, kept)
        else:
            if stamp is None:
                self._gone(path, own=own)
                return None
            if kept is None or kept.stamp != stamp:
                kept = self._read(path, bytes_max, stamp, kept)
        _keep(self._files, path, kept, FOLDERS_KEPT_MAX)
        loosens = own or (not linked and self._signature is not None and self._signature.holds(path, kept.text))
        if kept.file is None:
            return Layer(path, RuleFile(), loosens, trouble=kept.error)
        return Layer(path, kept.file, loosens, stale=kept.error)

    def _gone(self, path: str, *, own: bool) -> None:
        if self._files.pop(path, None) and own:
            self._tell(f"{path}: is gone; the rules in it count no more")

    def _read(self, path: str, bytes_max: int, stamp: _Stamp, before: _Kept | None) -> _Kept:
        try:
            text = text_of(path, bytes_max)
        except SettingsError as error:
            return self._failed(error.message, stamp, before)
        if before is not None and before.seen == text:
            return msgspec.structs.replace(before, stamp=stamp)
        try:
            return _Kept(stamp, read(text, path), text, seen=text)
        except SettingsError as error:
            return self._failed(error.message, stamp, before, text)

    def _failed(self, message: str, stamp: _Stamp, before: _Kept | None, seen: str | None = None) -> _Kept:
        said = before.file if before else None
        follows = "what it last said stays in force" if said else "every call there asks"
        self._tell(f"{message}; {follows}")
        return _Kept(stamp, said, before.text if before else "", message, seen)

    def _composed(self, layers: tuple[Layer, ...]) -> RuleSet:
        if not layers:
            return builtin()
        found = self._sets.get(layers)
        if found is None:
            found = _keep(self._sets, layers, self._compose(layers), SETS_KEPT_MAX)
        return found

    def _compose(self, layers: tuple[Layer, ...]) -> RuleSet:
        try:
            return compose(layers)
        except SettingsError as error:
            return self._in_trouble(error.message)

    def _in_trouble(self, message: str) -> RuleSet:
        """Return the built-in rules, under which everything else asks."""
        self._tell(f"{message}; every call there asks")
        return RuleSet(builtin_file().rules, message)

    def _tell(self, message: str) -> None:
        if self._on_error is not None:
            self._on_error(message)


def _keep(kept: dict[_Key, _Value], key: _Key, value: _Value, most: int) -> _Value:
    """Keep a value; of too many the oldest goes."""
    kept.pop(key, None)
    kept[key] = value
    while len(kept) > most:
        del kept[next(iter(kept))]
    return value


def _ways(cwd: str | None) -> tuple[list[str], list[str]]:
    """Return the folder and those above it, as it was named and as it really lies, no further than is looked at."""
    if not cwd or not cwd.startswith("/") or "\0" in cwd:
        return [], []
    named = "/" + os.path.normpath(cwd).lstrip("/")
    real = os.path.realpath(named)
    above = list(islice(_above(named), FOLDERS_ABOVE_MAX + 1))
    return above, above if real == named else list(islice(_above(real), FOLDERS_ABOVE_MAX + 1))


def _above(folder: str) -> Iterator[str]:
    while folder.strip("/"):
        yield folder
        folder = folder.rpartition("/")[0]


def _stamp(path: str) -> _Stamp | None:
    """Return what changes when a file does, or None where there surely is none.

    Raises:
        OSError: something is there that cannot be reached: a link that leads nowhere or in a circle, a closed folder.
    """
    try:
        found = os.stat(path)  # noqa: PTH116 - a path that may hold anything
    except FileNotFoundError:
        if os.path.islink(path) or os.path.islink(os.path.dirname(path)):  # noqa: PTH114, PTH120 - as above
            raise
        return None
    return (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_dev)


def text_of(path: str | Path, bytes_max: int = FILE_BYTES_MAX) -> str:
    """Return the text of a regular file of a bounded size.

    Raises:
        SettingsError: it is none, too large, or no UTF-8.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise SettingsError(f"{path}: is no regular file")
            raw = file.read(bytes_max + 1)
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from error
    if len(raw) > bytes_max:
        raise SettingsError(f"{path}: has more than {bytes_max} bytes")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: is no UTF-8 text") from error
