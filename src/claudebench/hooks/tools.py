"""What a tool does with its parameters, by its name and theirs: runs a command line, writes files, or something else.

The names are those of the agents that we know and what they look like; more tools are made every day, so a tool that is
given a command line is looked at whatever it is called.
"""

from __future__ import annotations

import re
import shlex
from posixpath import join
from typing import TYPE_CHECKING, Literal, TypeGuard

if TYPE_CHECKING:
    from claudebench.hooks.model import ToolCall

Kind = Literal["shell", "write", "other"]
SHELL_TOOLS = frozenset(
    [
        "bash",
        "shell",
        "sh",
        "zsh",
        "command",
        "cmd",
        "run_shell_command",
        "local_shell",
        "shell_command",
        "run_command",
        "execute_command",
        "terminal",
        "exec",
        "exec_command",
        "run_in_terminal",
        "bash_command",
        "execute_bash",
        "powershell",
        "unified_exec",
        "container.exec",
        "write_stdin",
        "monitor",
        "run_terminal_cmd",
    ]
)
WRITE_TOOLS = frozenset(
    [
        "write",
        "edit",
        "multiedit",
        "notebookedit",
        "file.write",
        "file.edit",
        "file.delete",
        "write_file",
        "edit_file",
        "delete_file",
        "create_file",
        "replace",
        "apply_patch",
        "str_replace_editor",
        "str_replace_based_edit_tool",
        "replace_in_file",
        "write_to_file",
        "move_file",
        "rename_file",
        "copy_file",
        "remove_file",
        "delete_path",
        "create_directory",
    ]
)
LINE_FIELDS = ("command", "cmd", "script", "chars")
ARGUMENT_FIELDS = ("args", "arguments", "argv")
FOLDER_FIELDS = ("workdir", "cwd", "working_directory", "workingDirectory", "directory")
CODE_FIELD = "code"
PATH_FIELDS = (
    "file_path", "path", "notebook_path", "filename", "target_file", "absolute_path", "filePath",
               "source", "destination", "old_path", "new_path")  # fmt: skip
TEXT_FIELDS = ("content", "new_string", "new_source", "file_text", "new_str", "text")
PATCH_FIELDS = ("patch", "input", "command")
QUICK_CHARS_MAX = 256  # some milliseconds at worst
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_RUNS_LINES = re.compile(
    r"(?:^|[_.:/-])(?:bash|sh|zsh|shell|terminal|exec|execute|command|cmd|process|console|powershell|ssh)(?:[_.:/-]|$)"
)
_RUNS_CODE = re.compile(r"exec|run|eval|python|repl|notebook|kernel|cell")
_PATCHED = re.compile(
    r"^\*\*\* (?:(?:Add|Update|Delete) File|Move to): (.+)$|^(?:\+\+\+|---) (?:[ab]/)?(\S+)", re.MULTILINE
)


def is_quick(params: object) -> bool:
    """Tell whether parameters are surely judged quickly: short texts at the top, and no function that a line calls."""
    values = list(params.values()) if isinstance(params, dict) else [params]
    texts = [value for value in values if isinstance(value, str)]
    return (
        sum(map(len, texts)) <= QUICK_CHARS_MAX
        and not any(isinstance(value, (dict, list)) for value in values)
        and not any("()" in text or "function" in text for text in texts)
    )


def kind_of(tool: str, params: object = None) -> Kind:
    """Return what a tool is; of an MCP tool the last part of the name counts.

    One whose name looks like a shell's is a shell if it is given a command line.
    """
    name = tool.rpartition("__")[2] if tool.lower().startswith("mcp__") else tool
    if name.lower() in SHELL_TOOLS:
        return "shell"
    if name.lower() in WRITE_TOOLS:
        return "write"
    return "shell" if _RUNS_LINES.search(_HUMP.sub("_", name).lower()) and lines_of(params) else "other"


def lines_of(params: object) -> list[str]:
    """Return the command lines in the parameters of a tool."""
    if not isinstance(params, dict):
        return [params] if isinstance(params, str) else []
    values = [params[name] for name in LINE_FIELDS if name in params]
    lines = [shlex.join(value) if is_words(value) else value for value in values]
    return [*(line for line in lines if isinstance(line, str)), *lines_beside(params)]


def lines_beside(params: dict[str, object]) -> list[str]:
    """Return the lines that are not one parameter's: a program with its arguments apart."""
    arguments = next((value for name in ARGUMENT_FIELDS if is_words(value := params.get(name))), None)
    programs = [value for name in LINE_FIELDS if isinstance(value := params.get(name), str)]
    return [f"{program} {shlex.join(arguments)}" for program in programs] if arguments else []


def code_lines_of(tool: str, params: object) -> list[str]:
    """Return the command line that a tool comes to which is given code: such tools run Python."""
    code = params.get(CODE_FIELD) if isinstance(params, dict) else None
    return [shlex.join(["python3", "-c", code])] if isinstance(code, str) and _RUNS_CODE.search(tool.lower()) else []


def folder_of(call: ToolCall) -> str | None:
    """Return the folder that a call runs in: its own, or the one that its parameters name."""
    params = call.params if isinstance(call.params, dict) else {}
    named = next((value for name in FOLDER_FIELDS if isinstance(value := params.get(name), str) and value), None)
    return join(call.cwd or "", named) if named else call.cwd


def is_words(value: object) -> TypeGuard[list[str]]:
    """Tell whether a value is a list of texts, and no empty one."""
    return isinstance(value, list) and bool(value) and all(isinstance(word, str) for word in value)


def paths_of(call: ToolCall) -> list[object]:
    """Return the paths that a tool which writes files names, those in a patch included."""
    if isinstance(call.params, str):
        return [*_patched(call.params)]
    if not isinstance(call.params, dict):
        return []
    named: list[object] = [call.params[name] for name in PATH_FIELDS if name in call.params]
    patches = [call.params[name] for name in PATCH_FIELDS if isinstance(call.params.get(name), str)]
    return named + [path for patch in patches for path in _patched(str(patch))]


def _patched(patch: str) -> list[str]:
    return [first or second for first, second in _PATCHED.findall(patch) if (first or second) != "/dev/null"]


def content_of(params: object) -> str:
    """Return all text that a call would write, edits of a list included."""
    if not isinstance(params, dict):
        return params if isinstance(params, str) else ""
    texts = [value for name in TEXT_FIELDS if isinstance(value := params.get(name), str)]
    edits = params.get("edits")
    texts += [content_of(edit) for edit in edits] if isinstance(edits, list) else []
    return "\n".join(texts)
