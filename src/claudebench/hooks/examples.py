"""The commands of the hooks by example."""

from __future__ import annotations

from claudebench.rpc.examples import Example, Told

TOLD = {
    "hook.pre_tool": Told(
        (
            Example(
                "a harmless command",
                {"tool": "Bash", "params": {"command": "ls -l"}, "cwd": "/srv/project"},
                {
                    "allow": True,
                    "decision": "allow",
                    "recorded": True,
                    "rulesVersion": "bb71616c50b4",
                    "warnings": [],
                },
            ),
            Example(
                "a command that would delete everything",
                {"tool": "Bash", "params": {"command": "rm -rf /"}, "cwd": "/srv/project"},
                {
                    "allow": False,
                    "decision": "deny",
                    "recorded": False,
                    "rulesVersion": "bb71616c50b4",
                    "warnings": [],
                    "reason": "dangerous command: this deletes a whole root, home or system directory. "
                    "Name the exact directory inside your workspace that should go. [rm -rf /]",
                    "ruleId": "delete-whole",
                },
            ),
        )
    ),
    "hook.post_tool": Told(
        (Example("a tool has run", {"tool": "Bash", "result": {"stdout": "README.md"}}, {"processed": True}),)
    ),
    "hook.user_prompt": Told(
        (Example("a prompt, left as it is", {"prompt": "Write the release notes", "context": {}}, {}),)
    ),
    "hook.todo_write": Told(
        (
            Example(
                "a list of one line",
                {"todos": [{"content": "Read the changes", "status": "in_progress"}]},
                {"processed": True},
            ),
        )
    ),
}
