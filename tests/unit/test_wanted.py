"""What a place takes, in words: no regular expression, no name of a Python type, the values and the bounds."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

from claudebench.app import COMMANDS
from claudebench.errors import InvalidRequest
from claudebench.rpc.envelope import read_metadata, read_request
from claudebench.rpc.issues import issues

JARGON = ("`", "regex", "matching", "matches", "null", "Object", "Expected", "enum")
Text = Annotated[str, Meta(min_length=1, max_length=5)]
Id = Annotated[str, Meta(pattern="^t-[0-9]$", description="t-<digit>", extra={"prefix": "t-"})]


class Ask(msgspec.Struct, forbid_unknown_fields=True):
    """A request with a constraint of each kind."""

    id: Id = "t-1"
    maybe: Id | None = None
    state: Literal["open", "done"] = "open"
    only: Literal["2.0"] = "2.0"
    number: Annotated[int, Meta(ge=0, le=100)] = 0
    least: Annotated[int, Meta(ge=1)] = 1
    most: Annotated[float, Meta(le=1)] = 0
    flag: bool = False
    text: Text = "x"
    any_text: str = ""
    some: Annotated[list[Text], Meta(max_length=2)] = []
    either: int | str | None = None
    keyed: dict[Text, int] = {}
    plain: Annotated[str, Meta(pattern="^x$")] = "x"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("id", "1", 'must be t-<digit>, not "1"'),
        ("id", "T-1", 'must be t-<digit>, not "T-1"'),
        ("maybe", "x", 'must be t-<digit>, not "x"'),
        ("state", "finished", 'must be one of open, done, not "finished"'),
        ("only", "1.0", 'must be 2.0, not "1.0"'),
        ("number", 101, "must be a whole number from 0 to 100, not 101"),
        ("number", "7", 'must be a whole number from 0 to 100, not "7"'),
        ("number", [1, 2], "must be a whole number from 0 to 100, not a list of 2"),
        ("least", 0, "must be a whole number of at least 1, not 0"),
        ("most", 2, "must be a number of at most 1, not 2"),
        ("flag", None, "must be true or false, not null"),
        ("text", "", 'must be text of 1 to 5 characters, not ""'),
        ("text", "x" * 999, "must be text of 1 to 5 characters, not a text of 999"),
        ("text", {}, "must be text of 1 to 5 characters, not an object"),
        ("any_text", 10**70, "must be text, not that number"),
        ("some", ["a", "b", "c"], "must be a list of at most 2 entries, not a list of 3"),
        ("either", [], "must be a whole number or text, not a list"),
        ("keyed", {"": 1}, 'must be text of 1 to 5 characters, not ""'),
        ("plain", "y", 'must be text that matches ^x$, not "y"'),
    ],
)  # fmt: skip
def test_a_constraint_is_a_sentence(field: str, value: Any, message: str) -> None:
    """Each constraint is told by what it wants: the description of a pattern, the values, the bounds."""
    (issue,) = issues(msgspec.json.encode({field: value}), Ask)

    assert issue["message"] == message


@pytest.mark.parametrize(("value", "near"), [("1", "t-1"), (1, "t-1"), ("x", None), (None, None), ([1], None)])
def test_what_lacks_only_its_beginning_is_offered_whole(value: Any, near: str | None) -> None:
    """A bare number where an id is wanted is offered with what ids begin with, and nothing else is."""
    (issue,) = issues(msgspec.json.encode({"id": value}), Ask)

    assert issue.get("nearest") == near


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
@pytest.mark.parametrize("value", ["\n", -1, True, [], {}, "x" * 70_000], ids=repr)
def test_no_command_speaks_in_expressions(command: Any, value: Any) -> None:
    """Whatever does not fit in whatever field of whatever command is told in words."""
    fields = msgspec.structs.fields(command.input)
    told = issues(msgspec.json.encode({field.encode_name: value for field in fields}), command.input)

    messages = [each["message"] for each in told if not each["message"].startswith("Name the task once")]
    assert [message for message in messages if any(word in message for word in JARGON)] == []


def test_metadata_are_told_in_words_too() -> None:
    """A member of the metadata that does not fit is named with what it takes, through both doors."""
    with pytest.raises(InvalidRequest) as of_json_rpc:
        read_request(b'{"jsonrpc":"2.0","method":"a.b","metadata":{"instanceId":"a b"}}')
    with pytest.raises(InvalidRequest) as of_plain_http:
        read_metadata({"idempotencyKey": ""})

    assert of_json_rpc.value.message.startswith("metadata.instanceId: must be the id of an instance: 1 to 128")
    assert of_plain_http.value.message == 'idempotencyKey: must be text of 1 to 256 characters, not ""'
