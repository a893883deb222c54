"""`claudebench task`: the ledger."""

from __future__ import annotations

from claudebench.cli import show
from claudebench.cli.noun import verbs
from claudebench.cli.verb import Pages, Verb, declare

MODEL = "claudebench.tasks.model"
app = verbs()

declare(
    app,
    Verb(
        name="create",
        command="task.create",
        request=f"{MODEL}:Create",
        about="Add a task, free for whoever may take it.",
        example='claudebench task create "Write the changelog" --priority 70 --requires docs',
        arguments=("text",),
    ),
    Verb(
        name="get",
        command="task.get",
        request=f"{MODEL}:Get",
        about="Show one task as it stands.",
        example="claudebench task get t-1",
        arguments=("id",),
        changes=False,
    ),
    Verb(
        name="list",
        command="task.list",
        request=f"{MODEL}:List",
        about="List tasks, the newest first, or those with a status, a holder, a priority, a beginning.",
        example="claudebench task list --status pending --order-by priority",
        changes=False,
        pages=Pages(items="tasks", ask="cursor", next="nextCursor"),
        show=show.tasks,
    ),
    Verb(
        name="update",
        command="task.update",
        request=f"{MODEL}:Update",
        about="Give a task another text, priority or keys of its metadata, and move it.",
        example="claudebench task update t-1 --priority 90 --metadata ticket=42",
        arguments=("id",),
    ),
    Verb(
        name="assign",
        command="task.assign",
        request=f"{MODEL}:Assign",
        about="Reserve a free task for one instance, which then claims it.",
        example="claudebench task assign t-1 worker-1",
        arguments=("taskId", "instanceId"),
    ),
    Verb(
        name="unassign",
        command="task.unassign",
        request=f"{MODEL}:One",
        about="Take a task from whoever holds it; the operator's word also denies it to that instance.",
        example="claudebench task unassign t-1",
        arguments=("id",),
    ),
    Verb(
        name="claim",
        command="task.claim",
        request=f"{MODEL}:Claim",
        about="Hand the most urgent task that a registered worker may take to it; none free is no failure.",
        example="claudebench task claim worker-1 --lease-ms 600000",
        arguments=("workerId",),
        show=show.claimed,
    ),
    Verb(
        name="renew",
        command="task.renew",
        request=f"{MODEL}:Renew",
        about="Keep a task for another while.",
        example="claudebench task renew t-1 --worker-id worker-1 --epoch 1 --lease-ms 600000",
        arguments=("id",),
        hidden=("taskId",),
    ),
    Verb(
        name="complete",
        command="task.complete",
        request=f"{MODEL}:Complete",
        about="Say that a task is done.",
        example="""claudebench task complete t-1 --worker-id worker-1 --epoch 1 --result '{"ok": true}'""",
        arguments=("id",),
        hidden=("taskId",),
    ),
    Verb(
        name="fail",
        command="task.fail",
        request=f"{MODEL}:Fail",
        about="Say that a task did not work out.",
        example='claudebench task fail t-1 --worker-id worker-1 --error "the tests are red" --retryable',
        arguments=("id",),
        hidden=("taskId",),
    ),
    Verb(
        name="retry",
        command="task.retry",
        request=f"{MODEL}:One",
        about="Let a finished task be done once more; a dead letter only as the operator.",
        example="claudebench task retry t-1 --token-file ~/.local/share/claudebench/token",
        arguments=("id",),
    ),
    Verb(
        name="release",
        command="task.release",
        request=f"{MODEL}:Release",
        about="Give a task back untouched, and its attempt with it.",
        example="claudebench task release t-1 --worker-id worker-1",
        arguments=("id",),
        hidden=("taskId",),
    ),
    Verb(
        name="delete",
        command="task.delete",
        request=f"{MODEL}:One",
        about="Remove a task that nobody holds.",
        example="claudebench task delete t-1",
        arguments=("id",),
    ),
)
