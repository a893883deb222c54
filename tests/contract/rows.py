"""The rows of the reference: what each contract test of the 2025 server checked, numbered by table and row.

Every row is a test in this folder whose id holds the number of the row. A row stands in `DIFFERENT` when this server
deliberately answers otherwise, and in `NOT_BUILT` when nothing here does it yet; the reasons are in
`docs/assessment.md`, section *Contract rows*.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_TABLES = """
I.1 task.create
fits the input schema of the contract
fits the output schema of the contract
the four values of the status
the form of a task id
a task is created by the contract
input that violates the contract is refused
an event is written
a JSON-RPC request
a JSON-RPC response

I.2 task.update
fits the input schema of the contract
invalid input is refused
the four values of the status
the range of the priority
a task is updated
parts are updated and the rest is kept
a task that does not exist is refused
an event is written
a JSON-RPC request
a JSON-RPC response

I.3 task.assign
fits the input schema of the contract
invalid input is refused
a task is assigned and stays pending
an instance that does not exist is refused
a task that does not exist is refused
no second assignment
the history of assignments
an event is written
a JSON-RPC request
a JSON-RPC response

I.4 task.complete
fits the input schema of the contract
invalid input is refused
a task is completed with a result
without a result it is failed
an unassigned task is refused
a task that does not exist is refused
no second completion
the figures of the instance
the duration
an event is written
a JSON-RPC request
a JSON-RPC response

I.5 hook.pre_tool
the input schema of the contract
tool and params
params as an object
params as a string
params as an array
params as null
missing fields are refused
the output schema of the contract
an answer with allow and a reason
an answer with allow only
an answer with modified params
modified is of any type
an answer without allow is none
tool, not toolName
params, not toolParams
allow, not allowed
modified, not modifiedParams
the handler is registered

I.6 hook.post_tool
the input schema of the contract
tool and result
result as a string
result as an array
result as null
result as a number
result with an error
missing fields are refused
the output schema of the contract
processed as a boolean
processed as an object
processed as a string
processed as a number
processed as an array
processed as null
an answer without processed is none
tool, not toolName
result, not toolResult
processed, not acknowledged
processed, not success
the handler is registered

I.7 hook.user_prompt
the input schema of the contract
prompt and context
an empty context
a context of various values
a context that nests
a context that is no object is refused
missing fields are refused
the output schema of the contract
an answer with a modified prompt
an empty answer
modified undefined
modified that is no string is refused
modified as an empty string
prompt, not userPrompt
context, not metadata
modified, not modifiedPrompt
modified, not newPrompt
the handler is registered

I.8 hook.todo_write
the input schema of the contract
todos of every status
activeForm is optional
an empty list
the three values of the status
another status is refused
todos with missing fields are refused
missing todos are refused
the output schema of the contract
processed as a boolean
processed true
processed false
processed that is no boolean is refused
an answer without processed is none
todos, not todoList
content, not text
content, not title
processed, not accepted
processed, not success
the definition of a todo
a todo with all fields
a todo without activeForm
todos with and without activeForm
a hundred todos
the handler is registered

I.9 verify-hook-alignment
pre_tool: the params of the request
pre_tool: the result of the response
pre_tool: the schema fits
post_tool: the params of the request
post_tool: the result of the response
post_tool: the schema fits
user_prompt: the params of the request
user_prompt: the result of the response
user_prompt: the schema fits
todo_write: the params of the request
todo_write: the result of the response
todo_write: the schema fits
post_tool: processed of any type
todo_write: processed is a boolean only

I.10 system.health
empty input
the output schema of the contract
the three values of the status
the members of services
invalid answers are none
health with every service
health while a service fails
the status follows the services
a JSON-RPC request
a JSON-RPC response
a notification

I.11 system.register
the input schema of the contract
invalid input is refused
the output schema of the contract
the answer holds registered only
roles are an array of strings
a new instance is registered
no roles
registering again replaces
roles serve to find an instance
what an instance leaves expires
a JSON-RPC request
a JSON-RPC response
a notification

I.12 system.heartbeat
the input schema of the contract
the output schema of the contract
the answer holds alive only
false for an unknown instance
true for a registered one
several beats
a JSON-RPC request
a JSON-RPC response
a notification

I.13 system.get_state
empty input
the output schema of the contract
the arrays are optional
invalid answers are none
an empty state
tasks are shown
instances are shown
the lists are bounded
a mixed state
a JSON-RPC request
a JSON-RPC response
a notification

I.14 system.metrics
empty input
the output schema of the contract
the numbers are optional
invalid answers are none
undefined and missing
figures with optional fields
the memory
stored figures
zeros are left out
missing keys
a JSON-RPC request
a JSON-RPC response
a notification
an error response
"""
_DIFFERENT = """
I.1.4 I.1.7 I.2.8 I.3.7 I.3.8 I.4.4 I.4.8 I.4.9
I.6.9 I.6.11 I.6.12 I.6.13 I.6.14 I.6.15 I.9.5 I.9.6 I.9.13
I.7.8 I.7.9 I.7.12 I.7.13 I.9.8 I.9.9
I.10.4 I.10.6 I.11.4 I.11.6 I.11.9 I.11.10 I.12.3 I.12.4 I.12.5
I.13.2 I.13.3 I.13.5 I.13.9 I.14.2 I.14.3 I.14.8 I.14.9 I.14.10
"""


def _read(tables: str) -> dict[str, str]:
    """Return the claim of each row by its number: a table's first line names it, the others count from 1."""
    found: dict[str, str] = {}
    for table in tables.strip().split("\n\n"):
        head, *claims = table.splitlines()
        found |= {f"{head.split()[0]}.{at}": claim for at, claim in enumerate(claims, 1)}
    return found


ROWS = _read(_TABLES)
DIFFERENT = frozenset(_DIFFERENT.split())
NOT_BUILT: frozenset[str] = frozenset()


def _mark(row: str) -> list[pytest.MarkDecorator]:
    return [pytest.mark.xfail(strict=True, reason="not built yet")] if row in NOT_BUILT else []


def _id(row: str) -> str:
    return f"{row}-different" if row in DIFFERENT else row


def row(*rows: str) -> pytest.MarkDecorator:
    """Say which rows a test is; their numbers become part of its id."""
    return cases("", dict.fromkeys(rows, ()))


def cases(names: str, table: Mapping[str, Any]) -> pytest.MarkDecorator:
    """Say which rows a test is and with which values: those of `names` by the number of the row, several as a tuple."""
    wanted = [name.strip() for name in names.split(",") if name]
    values: Callable[[Any], tuple[Any, ...]] = (lambda given: (given,)) if len(wanted) == 1 else tuple
    params = [pytest.param(each, *values(given), id=_id(each), marks=_mark(each)) for each, given in table.items()]
    return pytest.mark.parametrize(("row", *wanted), params, indirect=["row"])
