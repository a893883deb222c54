"""Writes docs/reference/*.md from what the code declares; `--check` writes nothing and fails when a page is stale.

A page is a function from nothing to text: commands, events, frames, errors, settings, keys, scripts, rules, cli.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union, get_args

import msgspec
from typer import Context
from typer.main import get_command

from claudebench import errors
from claudebench.app import CATALOGUE, COMMANDS, SCRIPTS
from claudebench.cli.completion import NAME
from claudebench.cli.failure import EXIT_CODES, FAILED, UNREACHABLE, USAGE
from claudebench.cli.main import app as command_line
from claudebench.cli.options import UNWRAPPED
from claudebench.hooks.matching import CallMatch, Classes, CommandMatch, FileMatch
from claudebench.hooks.rulebook import builtin_file
from claudebench.hooks.rulefile import Override, Switch
from claudebench.hooks.rules import Rule
from claudebench.own.lua import KEYED, PARTS
from claudebench.own.store import SCRIPTS_MAX
from claudebench.patterns.label import Consistency, Pattern
from claudebench.resilience.policy import Policy
from claudebench.settings import PREFIX, Settings
from claudebench.store.keys import KEYS
from claudebench.store.script import Source
from claudebench.system.patterns import CLAIMED
from claudebench.transports import frames as wire_frames
from claudebench.transports import sse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from claudebench.events.model import EventType
    from claudebench.rpc.command import Command
    from claudebench.store.script import Script

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "claudebench"
LIB = SOURCE / "store" / "scripts" / "lib"
TARGET = ROOT / "docs" / "reference"
NOTE = "<!-- Written by `python scripts/reference.py` from the code. Changes made here are lost. -->"
BOUNDS = (
    ("", "minimum", "maximum"),
    (" characters", "minLength", "maxLength"),
    (" entries", "minItems", "maxItems"),
)
OF_APPS = (
    f"They may use the parts {', '.join(f'`{part}`' for part in PARTS)}, the flag `allow-oom`, and the commands below, "
    "with a key of the app, `k_<name>`, in each place where the command takes one. There are at most "
    f"{SCRIPTS_MAX} in an app.\n\n{' '.join(sorted(KEYED))}"
)
SETTINGS = {"retain": "retain_days"}
HOMES = {
    "data_dir": "the user's data folder (`~/.local/share/claudebench` on Linux)",
    "rules": "in the user's configuration folder (`~/.config/claudebench/rules.toml` on Linux)",
}
EXITS = {0: "done", FAILED: "failed", USAGE: "usage, or a wrong setting", UNREACHABLE: "no server answers"}
SHARED_BY = 10
_LUA_EMIT = re.compile(r"\bemit\(([^,]*),")
_LUA_TEXT = re.compile(r"'([^']+)'")
_EVENT_NAME = re.compile(r"[a-z_]+(\.[a-z_]+)+")
_EMITTERS = frozenset({"append", "tell", "_append", "emit", "send", "_noted"})


# -- the form of a page


def page(title: str, about: str, *blocks: Iterable[str]) -> str:
    """Return a page: title, note, what it is about, then the blocks."""
    return "\n\n".join([f"# {title}", NOTE, about, *("\n".join(block) for block in blocks)]) + "\n"


def table(columns: str, rows: Iterable[Iterable[object]]) -> Iterator[str]:
    """Yield a table; `columns` names them, separated by commas."""
    names = columns.split(",")
    yield _line(names)
    yield "|" + "---|" * len(names)
    yield from map(_line, rows)


def _line(cells: Iterable[object]) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _code(text: object) -> str:
    return f"`{text}`" if text not in ("", None) else ""


def _yes(value: object) -> str:
    return "yes" if value else ""


# -- commands


def commands() -> str:
    """Return the page of every command: labels first, then its fields in and out."""
    ordered = sorted(COMMANDS, key=lambda command: command.name)
    about = (
        f"The {len(ordered)} commands of this server. Each is called as a method of `POST /rpc` (JSON-RPC 2.0); "
        "`system.discover` answers the same list with JSON Schemas. *Changes*: the command may change state. "
        f"Unless a command says otherwise its policy is {_policy(Policy())}; it is declared and checked at start, and "
        "not yet enforced."
    )
    labels = table(
        "command,pattern,consistency,changes,operator only,what it does",
        ((_code(c.name), c.pattern, c.consistency, _yes(c.changes), _yes(c.operator), c.summary) for c in ordered),
    )
    shares = (
        *_shares("pattern", Pattern, (c.pattern for c in ordered)),
        "",
        *_shares("consistency", Consistency, (c.consistency for c in ordered)),
    )
    types = {each.__name__: each for c in ordered for root in (c.input, c.output) for each in _inner(root)}
    sections = (*map(_command, ordered), ["## Types"], *(_type_section(types[name]) for name in sorted(types)))
    return page("Commands", about, labels, ["## Shares"], shares, *sections)


def _policy(policy: Policy) -> str:
    limit, breaker = policy.rate, policy.breaker
    parts = [f"a time-out of {policy.timeout_s:g} s"]
    if limit:
        parts.insert(0, f"{limit.calls} calls per {limit.per_s:g} s with a burst of {limit.burst}")
    if breaker:
        parts.append(f"a breaker after {breaker.failures} failures for {breaker.cool_down_s:g} s")
    if policy.cache_s:
        parts.append(f"a cache of {policy.cache_s:g} s")
    return ", ".join(parts)


def _shares(label: str, labels: Iterable[str], found: Iterable[object]) -> Iterator[str]:
    counts = Counter(found)
    total = counts.total()
    rows = ((each, counts[each], f"{counts[each] / total:.0%}", _claim(each)) for each in labels)
    return table(f"{label},commands,share,the assessment's share (of components or operations)", rows)


def _claim(label: str) -> str:
    share, name = CLAIMED.get(label, (0, ""))
    return (f"{share:.0%} ({name})" if name else f"{share:.0%}") if share else "none named"


def _command(command: Command) -> list[str]:
    lines = [f"## {command.name}", "", command.summary]
    if command.policy != Policy():
        lines += ["", f"Policy: {_policy(command.policy)}."]
    for title, type_ in (("In", command.input), ("Out", command.output)):
        rows = list(_fields(type_))
        lines += ["", f"**{title}**" if rows else f"**{title}**: nothing."]
        lines += ["", *table("field,type,default,meaning", rows)] if rows else []
    return lines


def _inner(type_: Any) -> Iterator[Any]:
    """Yield the structs that the fields of a struct are made of."""
    for field in msgspec.structs.fields(type_):
        for each in _structs(field.type):
            yield each
            yield from _inner(each)


def _structs(type_: Any) -> Iterator[Any]:
    if inspect.isclass(type_) and issubclass(type_, msgspec.Struct):
        yield type_
    for each in get_args(type_):
        yield from _structs(each)


def _type_section(type_: Any) -> list[str]:
    rows = table("field,type,default,meaning", _fields(type_))
    return [f"### {type_.__name__}", "", inspect.getdoc(type_) or "", "", *rows]


def _fields(type_: Any) -> Iterator[tuple[str, ...]]:
    for field in msgspec.structs.fields(type_):
        schema = _schema(field.type)
        yield _code(field.encode_name), _type(schema), _default(field), schema.get("description", "")


def _schema(type_: Any) -> dict[str, Any]:
    """Return the JSON Schema of a field, without what stands for its absence."""
    given = [each for each in get_args(type_) if each is not msgspec.UnsetType]
    if msgspec.UnsetType in get_args(type_):
        type_ = Union[tuple(given)]  # noqa: UP007 - a union made of a list
    return msgspec.json.schema(type_)


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "required"
    default = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
    if default is None or default is msgspec.UNSET or default == msgspec.Raw():
        return "absent"
    return _code(msgspec.json.encode(default).decode())


def _type(field: dict[str, Any]) -> str:
    if "anyOf" in field:
        return " or ".join(_type(each) for each in field["anyOf"] if each.get("type") != "null")
    if "$ref" in field:
        return str(field["$ref"].rpartition("/")[2])
    if "enum" in field:
        return " or ".join(_code(value) for value in field["enum"])
    if field.get("type") == "array":
        return f"list of {_type(field.get('items', {}))}{_bounds(field)}"
    return f"{field.get('type', 'any JSON')}{_bounds(field)}"


def _bounds(field: dict[str, Any]) -> str:
    found = [
        f"{field.get(lowest, '')}..{field.get(highest, '')}{unit}"
        for unit, lowest, highest in BOUNDS
        if lowest in field or highest in field
    ]
    found += [f"matches `{field['pattern']}`"] if "pattern" in field else []
    return f" ({', '.join(found)})" if found else ""


# -- events


def events() -> str:
    """Return the page of every event type and who writes it."""
    about = (
        "The catalogue. Every event is appended by the script that makes the change, in the same atom; a guard's "
        "decision and a handler's own event are such changes themselves. An event carries `id` (its position in the "
        "stream of the workspace), `type`, `subject`, `actor`, `payload`, `time`, perhaps `partitionKey`, and the "
        "trace of the request. Types that begin with `x.` are anybody's (`event.emit`), `x.<app>.` those of an app."
    )
    found = writers()
    rows = (
        (_code(name), each.meaning, ", ".join(_code(path) for path in sorted(found.get(name, ()))))
        for name, each in sorted(CATALOGUE.types.items())
    )
    payloads = (_event_section(each) for _, each in sorted(CATALOGUE.types.items()))
    inner = {each.__name__: each for type_ in CATALOGUE.types.values() for each in _inner(type_.payload)}
    return page(
        "Events",
        about,
        table("type,meaning,written by", rows),
        *payloads,
        ["## Types"],
        *(_type_section(inner[name]) for name in sorted(inner)),
    )


def _event_section(type_: EventType) -> list[str]:
    fields = table("field,type,default,meaning", _fields(type_.payload))
    return [f"## {type_.name}", "", inspect.getdoc(type_.payload) or "", "", *fields]


# -- frames


def frames() -> str:
    """Return the page of what is said over `/ws` and `/events`."""
    about, *rest = (inspect.getdoc(wire_frames) or "").split("\n\n")
    return page(
        "Frames",
        about,
        ["\n\n".join(rest)],
        ["## What a client says"],
        *map(_frame, wire_frames.SAID),
        ["## What the server says"],
        *map(_frame, wire_frames.TOLD),
        ["## Server-sent events", "", inspect.getdoc(sse) or ""],
    )


def _frame(type_: Any) -> list[str]:
    tag = type_.__struct_config__.tag
    rows = [(_code("type"), _code(tag), "required", ""), *_fields(type_)]
    return [f"### {tag}", "", inspect.getdoc(type_) or "", "", *table("field,type,default,meaning", rows)]


def writers() -> dict[str, set[str]]:
    """Return every event type that some file writes, with those files."""
    found: dict[str, set[str]] = {}
    for path in sorted((*SOURCE.rglob("*.lua"), *SOURCE.rglob("*.py"))):
        names = _lua_events(path) if path.suffix == ".lua" else _python_events(path)
        for name in names:
            found.setdefault(name, set()).add(str(path.relative_to(ROOT)))
    return found


def _lua_events(path: Path) -> set[str]:
    calls = _LUA_EMIT.findall(Source(path.stem, path.read_text(encoding="utf-8")).body)
    return {name for call in calls for name in _LUA_TEXT.findall(call)}


def _python_events(path: Path) -> set[str]:
    calls = (node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call))
    texts = (
        argument.value
        for call in calls
        if getattr(call.func, "attr", getattr(call.func, "id", "")) in _EMITTERS
        for argument in call.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    )
    return {text for text in texts if _EVENT_NAME.fullmatch(text)}


# -- errors


def errors_() -> str:
    """Return the page of every error: its codes, its message, what it says about the change."""
    about = (
        "Every error carries `data.outcome`: `done`, `not_done`, or `unknown`. `unknown` is said only of what was "
        "handed to the store's socket and never answered, of a fault of our own, and of a change that a handler of "
        "an app was given up in; everything else did not happen. "
        "Over plain HTTP an error is problem+json with the same `code` and `outcome`; over `POST /rpc` the "
        "status is 200. Before any command is looked at, a request may be refused with 403 (foreign Host or "
        "Origin), 405, 413 (a body over 1 MiB) or 415 (not declared as JSON)."
    )
    tree = ((_code(each.__name__), each.code, each.status, inspect.getdoc(each)) for each in errors.TREE)
    at_start = (
        (_code(each.__name__), inspect.getdoc(each))
        for each in vars(errors).values()
        if inspect.isclass(each) and issubclass(each, errors.ClaudeBenchError) and each not in errors.TREE
        and each is not errors.ClaudeBenchError
    )  # fmt: skip
    return page(
        "Errors",
        about,
        table("class,JSON-RPC code,HTTP status,message", tree),
        ["## At start", "", "Said on stderr, never on the wire:", "", *table("class,message", at_start)],
        ["## Exit codes of the command line", "", *table("code,meaning", _exits())],
    )


def _exits() -> Iterator[tuple[object, ...]]:
    for code in sorted({*EXITS, *EXIT_CODES.values()}):
        names = (_code(errors.BY_CODE[each].__name__) for each, exit_ in EXIT_CODES.items() if exit_ == code)
        yield code, ", ".join((*([EXITS[code]] if code in EXITS else []), *names))


# -- settings


def settings() -> str:
    """Return the page of every setting, wherever it can be given."""
    about = (
        "An option of `claudebench up` wins over a variable of the environment, that over `claudebench.toml` in the "
        "working directory (the names of the first column), that over the default. An unknown name is an error that "
        "offers the nearest known one. `CLAUDEBENCH_URL` and `CLAUDEBENCH_TOKEN_FILE` are the client's: where commands "
        "such as `claudebench task list` look for a server, and which token they show. `claudebench config show` "
        "tells what is in force where you type it."
    )
    options = {
        SETTINGS.get(each.name, each.name): each.opts[0]
        for each in get_command(command_line).commands["up"].params  # type: ignore[attr-defined]
    }
    rows = (
        (
            _code(name),
            _code(f"{PREFIX}{name.upper()}"),
            _code(options.get(name, "")) or "none",
            _setting_type(field.annotation),
            _shown_default(name, field.default),
            field.description,
        )
        for name, field in Settings.model_fields.items()
    )
    return page("Settings", about, table("setting,variable,option,type,default,meaning", rows))


def _setting_type(annotation: Any) -> str:
    choices = getattr(annotation, "__args__", ())
    if choices and all(isinstance(each, str) for each in choices):
        return " or ".join(_code(each) for each in choices)
    named = [each for each in choices or (annotation,) if each is not type(None)]
    return " or ".join(
        {"str": "text", "int": "integer", "Path": "path", "bool": "boolean"}[each.__name__] for each in named
    )


def _shown_default(name: str, default: object) -> str:
    if name in HOMES:
        return HOMES[name]
    return "none" if default is None else _code(default)


# -- keys


def keys() -> str:
    """Return the page of every kind of key."""
    about = (
        "A key is `cb:{workspace}:` and the tail of this table; the braces around the workspace are written out: they "
        "are the hash tag that keeps a workspace in one slot of a cluster. In a tail, `{n}` is the number of a task, "
        "`{i}` an instance, `{sig}` a sorted list of roles, `{status}` a status or `all`, `{order}` an order. *rank* "
        "is (100 - priority) * 2^46 + n: the most urgent first, then the oldest. Apps keep theirs under `x:<app>:`, "
        "in the tails that they declare. Nothing else of ours is in the store."
    )
    rows = ((_code(each.name), _code(each.tail), each.type, each.meaning) for each in KEYS.values())
    return page("Keys", about, table("name,tail,type,content", rows))


# -- scripts


def scripts() -> str:
    """Return the page of every Lua script and of the parts they are made of."""
    about = (
        "One script is one transition: it reads, refuses or changes, and appends its event, in one atom. The header of "
        "the file is its signature and is checked when it is loaded. `claudebench scripts` lists the hash, the calls "
        "and the times of each on a running server. Parts are spliced into the scripts that name them under *uses*."
    )
    ordered = sorted(SCRIPTS, key=lambda script: script.title)
    parts = (_source(path) for path in sorted(LIB.glob("*.lua")))
    part_rows = (
        (
            _code(each.name),
            each.header[each.name],
            _code(each.header.get("when")),
            _codes((*each.words("needs"), *each.words("uses"))),
        )
        for each in parts
    )
    return page(
        "Scripts",
        about,
        *map(_script, ordered),
        ["## Parts", "", *table("part,what it gives,only when,needs and uses", part_rows)],
        ["## Scripts of apps", "", OF_APPS],
    )


def _script(script: Script) -> list[str]:
    path = SOURCE / script.room / "scripts" / f"{script.name}.lua"
    source = _source(path)
    rows = [
        ("file", _code(path.relative_to(ROOT))),
        ("succeeds", _code(script.succeeds or "") or "nothing of the assessment"),
        ("uses", _codes(source.words("uses")) or "nothing"),
        ("when memory is full", "goes on" if "allow-oom" in source.words("flags") else "refused if it writes"),
        ("keys", _codes(source.words("KEYS")) or "only those of its parts"),
        ("arguments", _codes(script.argv) or "none"),
        ("returns", _returns(source.text)),
    ]
    return [f"## {script.title}", "", _sentence(script.promise), "", *table("part,content", rows)]


def _source(path: Path) -> Source:
    return Source(path.stem, path.read_text(encoding="utf-8"))


def _codes(words: Iterable[str]) -> str:
    return " ".join(map(_code, words))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _returns(text: str) -> str:
    """Return what follows `Returns` in the header, to its end."""
    _, _, rest = text.partition("-- Returns ")
    lines = [rest.partition("\n")[0]]
    for line in rest.splitlines()[1:]:
        if not line.startswith("-- "):
            break
        lines.append(line.removeprefix("-- "))
    return " ".join(lines)


# -- rules


RULE_TABLES = {
    "[[rule]]": Rule,
    "[[rule.command]]": CommandMatch,
    "[[rule.file]]": FileMatch,
    "[[rule.call]]": CallMatch,
    "[[override]]": Override,
    "[[hook]]": Switch,
}
INNER = "... code ..."  # what a reader of code says itself, under its name
CLASSES = "list of classes of paths"
_COMMENT = re.compile(r"^    (\w+): [^#\n]+?  # (.*)$", re.MULTILINE)


def rules() -> str:
    """Return the page of the guard's rules."""
    about = "What a file of rules may say, the classes of paths, and the rules that are built in."
    places = (SOURCE / "hooks" / "paths.py").read_text(encoding="utf-8").partition("PathClass = ")[2].partition("]")[0]
    classes = re.findall(r'"([\w-]+)",  # (.*)', places)
    built_in = ((_code(rule.id), rule.severity, rule.action, rule.reason) for rule in builtin_file().rules)
    return page(
        "Rules of the guard",
        about,
        *(block for name, type_ in RULE_TABLES.items() for block in _rule_table(name, type_)),
        ["## Classes of paths"],
        table("Class,A path there is", ((_code(name), told) for name, told in classes)),
        ["## Built in"],
        table("Id,Severity,Action,Reason", built_in),
        ["## What cannot be judged with certainty", "", "Each of these is *ask*, by the id `unsure`."],
        sorted(
            {
                f"- {reason}"
                for path in (SOURCE / "hooks" / "shell").glob("*.py")
                for reason in _doubts(path)
                if reason != INNER
            }
        ),
    )


def _doubts(path: Path) -> Iterator[str]:
    """Yield every reason for doubt that a module names, `...` where it names what it found."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "doubt":
            (given,) = node.args
            parts = given.values if isinstance(given, ast.JoinedStr) else [given]
            told = "".join(str(part.value) if isinstance(part, ast.Constant) else "..." for part in parts)
            yield f"code in another language {told}" if path.stem.endswith("_code") else told


def _rule_table(name: str, type_: Any) -> list[Iterable[str]]:
    told = dict(_COMMENT.findall(inspect.getsource(type_)))
    keys_ = (
        (_code(field.name), CLASSES if field.type == Classes else _type(_schema(field.type)), told[field.name])
        for field in msgspec.structs.fields(type_)
    )
    return [[f"## `{name}`"], [str(inspect.getdoc(type_))], table("Key,Type,Meaning", keys_)]


# -- cli


def cli() -> str:
    """Return the page of the command line: every command with its arguments and options."""
    about = (
        "Noun, then verb. On a terminal answers are tables; in a pipe they are lines with tabs between the cells; with "
        "`--json` they are one JSON document, the server's own answer. A failure is one line on stderr and an "
        "[exit code](errors.md#exit-codes-of-the-command-line). `claudebench completion` makes bash, zsh and fish "
        "complete all of this."
    )
    found = list(_command_lines(get_command(command_line), NAME))
    rows = Counter(_option(each, command) for _, command in found for each in command.params)
    shared = [row for row, times in rows.items() if times >= SHARED_BY]
    return page(
        "Command line",
        about,
        ["## Options of many commands"],
        table("option,meaning", shared),
        *(_command_line(name, command, shared) for name, command in found),
    )


def _command_lines(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield every command that has none below it, with the words that lead to it."""
    below = getattr(command, "commands", None)
    if below is None:
        yield name, command
        return
    for verb, each in below.items():
        yield from _command_lines(each, f"{name} {verb}")


def _command_line(name: str, command: Any, shared: list[tuple[str, str]]) -> list[str]:
    rows = [_option(each, command) for each in command.params]
    own, others = [row for row in rows if row not in shared], [row[0] for row in rows if row in shared]
    lines = [f"## {name}", "", command.help.replace("\n", " "), ""]
    lines += [*table("argument or option,meaning", own), ""] if own else []
    lines += [f"Also {', '.join(others)}.", ""] if others else []
    return [*lines, "```sh", command.epilog.removeprefix(f"{UNWRAPPED}Example: "), "```"]


def _option(each: Any, command: Any) -> tuple[str, str]:
    name, meaning = each.get_help_record(Context(command))
    return _code(name), meaning.replace("<", "\\<")


PAGES = {
    "rules": rules,
    "cli": cli,
    "commands": commands,
    "events": events,
    "frames": frames,
    "errors": errors_,
    "settings": settings,
    "keys": keys,
    "scripts": scripts,
}


def main(arguments: list[str]) -> int:
    """Write the pages, or with `--check` name the stale ones and return 1 if there are any."""
    stale = []
    for name, render in PAGES.items():
        path, text = TARGET / f"{name}.md", render()
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(str(path.relative_to(ROOT)))
        if "--check" not in arguments:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    if "--check" not in arguments:
        print(f"reference: {len(stale)} of {len(PAGES)} pages written")
        return 0
    if stale:
        print(f"reference: stale: {', '.join(stale)}; type: python scripts/reference.py")
    return bool(stale)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
