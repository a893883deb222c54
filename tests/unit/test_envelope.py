"""The JSON-RPC envelope: what is read as a request, and what no JSON from outside may hold."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from claudebench.errors import InvalidParams, InvalidRequest, NotFound, ParseError, Unavailable
from claudebench.rpc import envelope

JUDGED_WITHIN_S = 10.0
TEXTS = st.text(st.sampled_from('ab{}[]":,\\ \n\té€😀'), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=30,
)
SPACED: list[dict[str, Any]] = [{}, {"separators": (",", ":")}, {"indent": 2}, {"separators": (" , ", " : ")}]


def nested(depth: int, opening: str = "[", closing: str = "]") -> bytes:
    """Return brackets that nest `depth` deep."""
    return (opening * depth + closing * depth).encode()


# -- depth


@pytest.mark.parametrize("depth", [1, 2, 63, 64])
def test_depth_up_to_64_is_taken(depth: int) -> None:
    """64 brackets may nest, arrays and objects alike."""
    envelope.check_body(nested(depth))
    envelope.check_body(nested(depth // 2, '{"a":[', "]}"))


@pytest.mark.parametrize("depth", [65, 66, 1000, 10_000, 500_000])
def test_depth_above_64_is_refused(depth: int) -> None:
    """The sixty-fifth is a parse error, whatever follows, without recursion."""
    for body in (nested(depth), nested(depth, '{"a":', "}"), b"[" * depth):
        with pytest.raises(ParseError):
            envelope.check_body(body)


def test_many_brackets_side_by_side_are_not_deep() -> None:
    """It is the nesting that counts, not the number."""
    envelope.check_body(b"[" + b",".join([b"[{}]"] * 10_000) + b"]")


@pytest.mark.parametrize("text", ["[" * 100, '"' + "[" * 100, "\\" + "{" * 100, '\\"[' * 100, "\\\\" * 40 + "[" * 100])
def test_brackets_in_texts_do_not_count(text: str) -> None:
    """Brackets inside a text, after whatever escapes, are text."""
    envelope.check_body(json.dumps({"a": text, "b": [[text]]}).encode())


@given(value=JSON, layout=st.sampled_from(SPACED))
def test_shallow_json_is_never_refused(value: Any, layout: dict[str, Any]) -> None:
    """No JSON of ordinary depth is taken for deep, whatever its texts hold and however it is spaced."""
    envelope.check_body(json.dumps([value] * 40, **layout).encode())


@pytest.mark.parametrize(
    "make",
    [
        r"""b'[' * 65 + b'"' + b'\\"' * 500_000""",
        r"""b'[' * 65 + b'"' + b'\\' * 1_000_000""",
        r"""b'[' * 1_000_000""",
        r"""b'[]' * 500_000""",
        r"""b'[' * 65 + b'"' * 1_000_000""",
        r"""b'[' * 65 + b'" ' * 500_000""",
    ],
    ids=["escaped quotes", "backslashes", "open", "closed", "quotes", "spaced quotes"],
)
def test_a_hostile_mebibyte_is_judged_in_linear_time(make: str) -> None:
    """No megabyte that anybody can send keeps the server from its work: the effort grows with the length only."""
    program = (
        "from claudebench.rpc import envelope\nfrom claudebench.errors import ParseError\n"
        f"try:\n    envelope.check_body({make})\nexcept ParseError:\n    pass\n"
    )

    subprocess.run([sys.executable, "-c", program], check=True, timeout=JUDGED_WITHIN_S)


# -- texts


@given(value=JSON, layout=st.sampled_from(SPACED))
def test_clean_json_is_never_refused(value: Any, layout: dict[str, Any]) -> None:
    """JSON without NUL, lone surrogates and twin keys passes, however it is spelt."""
    envelope.check_text(json.dumps(value, **layout).encode())
    envelope.check_text(json.dumps(value, ensure_ascii=False, **layout).encode())


TWINS = st.lists(st.tuples(st.sampled_from(["a", "b", 'q"', "c:", "é"]), st.integers()), max_size=5)


@given(pairs=TWINS, colon=st.sampled_from([":", " :", "\n:\t", " : "]), deep=st.booleans(), decoy=TEXTS)
def test_twin_keys_are_found_and_only_those(
    pairs: list[tuple[str, int]], colon: str, decoy: str, *, deep: bool
) -> None:
    """An object is refused exactly when it names a key twice, at any depth, spaced in any way."""
    body = "{" + ",".join(f"{json.dumps(key)}{colon}{value}" for key, value in pairs) + "}"
    body = f'{{"x":[1,{body},{json.dumps(decoy)}]}}' if deep else body
    names = [key for key, _ in pairs]

    if len(set(names)) == len(names):
        envelope.check_text(body.encode())
    else:
        with pytest.raises(InvalidParams, match="twice"):
            envelope.check_text(body.encode())


@pytest.mark.parametrize(
    "body",
    [b'{"a":1,"\\u0061":2}', b'{"a":{"b":1},"a":{"c":1}}', b'[{"a":1,"a":1}]', b'{"\\"":1,"\\u0022":2}'],
    ids=["escaped", "objects", "in an array", "quotes"],
)
def test_twin_keys_are_found_in_every_spelling(body: bytes) -> None:
    """Two spellings of one key are one key."""
    with pytest.raises(InvalidParams, match="twice"):
        envelope.check_text(body)


@pytest.mark.parametrize("body", [b'"\\u0000"', b'{"\\u0000":1}', b'["a",{"b":"x\\u0000y"}]', b'"\\\\\\u0000"'])
def test_nul_is_refused(body: bytes) -> None:
    """The NUL character is refused in values and keys, also behind an escaped backslash."""
    with pytest.raises(InvalidParams, match="NUL"):
        envelope.check_text(body)


@pytest.mark.parametrize("body", [b'"\\\\u0000"', b'{"a":"\\\\u0000"}', b'"u0000"', b'"\\\\\\\\u0000"'])
def test_text_that_only_looks_like_nul_is_taken(body: bytes) -> None:
    """A backslash followed by u0000 is six characters and no NUL."""
    envelope.check_text(body)


@pytest.mark.parametrize("body", [b'"\\ud800"', b'"\\udc00"', b'"\\udc00\\ud800"', b'{"\\ud800":1}', b'"\\ud800x"'])
def test_lone_surrogates_are_refused(body: bytes) -> None:
    """Half a character is no text."""
    with pytest.raises(InvalidParams):
        envelope.check_text(body)


def test_surrogate_pairs_are_taken() -> None:
    """A whole pair is one character."""
    envelope.check_text(b'"\\ud83d\\ude00"')


# -- requests


def test_a_request_is_read() -> None:
    """Method, raw params, id and metadata are there; what is absent has its default."""
    body = b'{"jsonrpc":"2.0","id":7,"method":"task.get","params":{"id": "t-1"},"metadata":{"instanceId":"w","free":1}}'

    request = envelope.read_request(body)
    bare = envelope.read_request(b'{"jsonrpc":"2.0","method":"m"}')

    assert (request.method, bytes(request.params), request.id) == ("task.get", b'{"id": "t-1"}', 7)
    assert request.metadata.instance_id == "w"
    assert (bytes(bare.params), bare.id, bare.metadata) == (b"{}", msgspec.UNSET, envelope.NO_METADATA)


def test_null_id_is_an_id_and_no_id_is_a_notification() -> None:
    """`"id": null` is answered; only the absence of an id asks for silence."""
    assert envelope.read_request(b'{"jsonrpc":"2.0","id":null,"method":"m"}').id is None
    assert envelope.read_request(b'{"jsonrpc":"2.0","method":"m"}').id is msgspec.UNSET


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[]",
        b"1",
        b"null",
        b'{"jsonrpc":"1.0","method":"m"}',
        b'{"jsonrpc":"2.0"}',
        b'{"jsonrpc":"2.0","method":1}',
        b'{"jsonrpc":"2.0","method":"m","id":true}',
        b'{"jsonrpc":"2.0","method":"m","metadata":1}',
        b'{"jsonrpc":"2.0","method":"m","metadata":{"instanceId":"a b"}}',
        b'{"jsonrpc":"2.0","method":"m","metadata":{"instanceId":"a\\n"}}',
        b'{"jsonrpc":"2.0","method":"m","metadata":{"sessionId":1}}',
    ],
)
def test_json_that_is_no_request_is_an_invalid_request(body: bytes) -> None:
    """JSON of another form is InvalidRequest, not a parse error."""
    with pytest.raises(InvalidRequest):
        envelope.read_request(body)


@pytest.mark.parametrize("body", [b"", b"{", b'{"jsonrpc"', b"nope"])
def test_what_is_no_json_is_a_parse_error(body: bytes) -> None:
    """Bytes that are no JSON are a parse error."""
    with pytest.raises(ParseError):
        envelope.read_request(body)


@pytest.mark.parametrize(
    ("body", "id_"),
    [
        (b'{"id":"a"}', "a"),
        (b'{"id":3,"x":1}', 3),
        (b'{"id":[1]}', None),
        (b"[1]", None),
        (b"{", None),
        (b"\xff", None),
    ],
)
def test_the_id_of_no_request_is_read_where_it_can_be(body: bytes, id_: object) -> None:
    """The error goes back under the id that was sent, or under null."""
    assert envelope.read_id(body) == id_


# -- batches


@pytest.mark.parametrize("count", [1, 2, 1000])
def test_a_batch_keeps_its_order(count: int) -> None:
    """The members of a batch are returned raw, as they stand."""
    assert [bytes(each) for each in envelope.read_batch(json.dumps(list(range(count))).encode())] == [
        str(at).encode() for at in range(count)
    ]


@pytest.mark.parametrize("count", [0, 1001, 5000])
def test_a_batch_holds_1_to_1000(count: int) -> None:
    """An empty batch and one of more than a thousand are invalid requests as a whole."""
    with pytest.raises(InvalidRequest):
        envelope.read_batch(json.dumps([0] * count).encode())


@pytest.mark.parametrize("body", [b"[", b"[1,]", b"[1 2]", b"[nope]"])
def test_a_batch_that_is_no_json_is_a_parse_error(body: bytes) -> None:
    """A damaged batch is refused whole: nobody knows which of its members were meant."""
    with pytest.raises(ParseError):
        envelope.read_batch(body)


# -- failures


def test_a_failure_carries_code_message_outcome_and_data() -> None:
    """An error on the wire tells what happened, whether the change was made, and what belongs to it."""
    failed = envelope.failure(Unavailable("gone", outcome="unknown", retryAfterMs=250, reason="store"), "id")

    assert msgspec.to_builtins(failed) == {
        "jsonrpc": "2.0",
        "id": "id",
        "error": {
            "code": -32001,
            "message": "gone",
            "data": {"outcome": "unknown", "retryAfterMs": 250, "reason": "store"},
        },
    }


def test_a_failure_without_words_has_those_of_its_class() -> None:
    """The docstring of an error is its message, and its outcome is not_done."""
    failed = envelope.failure(NotFound(), None)

    assert (failed.error["message"], failed.error["data"]) == (NotFound.__doc__, {"outcome": "not_done"})
