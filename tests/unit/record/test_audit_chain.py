"""The chain of the audit: the same events make the same rows, and whatever is done to them is found."""

from __future__ import annotations

import json
import random
import stat
from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.unit.record.chains import KEYS, TAMPERINGS, WORKSPACE, Tampering, chain, event, keys_of, look

from claudebench.errors import SettingsError
from claudebench.record.audit import AHEAD_MAX, DETAIL_MAX, NO_ROW, Row, Span, detail, head_of, rows
from claudebench.record.audit_key import Keys, make_keys, read_keys
from claudebench.record.tampering import Chain, Finding

if TYPE_CHECKING:
    from pathlib import Path

ROUNDS = 100


def test_the_same_events_make_the_same_rows() -> None:
    """A chain made in one batch, or in many by another process, has the same rows and macs."""
    head, pieces = NO_ROW, []
    for at in range(0, 50, 7):
        batch = list(rows(keys_of(b"the installation's"), WORKSPACE, head, map(event, range(at, min(at + 7, 50)))))
        pieces += batch
        head = head_of(batch[-1])

    assert pieces == chain(50)
    assert len({row.mac for row in pieces}) == 50


def test_a_chain_belongs_to_its_workspace() -> None:
    """The rows of one workspace are no rows of another."""
    looked = Chain(KEYS, "other")
    looked.feed(chain(3))

    assert [each.kind for each in looked.findings()] == ["rewritten"]


@pytest.mark.parametrize("tampering", TAMPERINGS, ids=lambda each: str(each.__name__))
def test_every_tampering_is_found(tampering: Tampering) -> None:
    """Whatever is done to a chain is found and named, with the head noted as late as is legal."""
    for seed in range(ROUNDS):
        source = random.Random(f"{tampering.__name__} {seed}")
        whole = chain(source.choice((2, 3, 8, 40)))
        changed, kinds = tampering(source, whole)
        if changed == whole:
            continue
        found = look(changed, head_of(whole[-1]), portion=source.choice((0, 1, 5)))

        assert found, f"seed {seed}: {changed} for {whole}"
        assert kinds & {each.kind for each in found}, f"seed {seed}: {found}"


def test_no_false_alarm_at_any_crash_point() -> None:
    """A chain that nobody touched is clean wherever a crash fell between its commits and the notes of its head."""
    source, alarms = random.Random(5), []
    for _ in range(ROUNDS):
        whole, sizes = chain(120), [source.randint(1, 9) for _ in range(12)]
        ends = [sum(sizes[:at]) for at in range(13)]
        for noted, committed in pairwise(ends):
            for end in (noted, committed):
                head = head_of(whole[end - 1]) if end else None
                alarms += look(whole[:committed], head, portion=source.choice((0, 1, 7)))

    assert not alarms


def test_a_record_may_be_ahead_by_one_batch() -> None:
    """A head that is one batch behind is legal, and one row more is named: so is a chain that has no head at all."""
    whole = chain(AHEAD_MAX + 10)

    assert not look(whole, head_of(whole[9]))
    assert [(each.kind, each.seq) for each in look(whole, head_of(whole[8]))] == [("ahead", 10)]
    assert not look(whole[:AHEAD_MAX], None)
    assert [each.kind for each in look(whole, None)] == ["headless"]


def test_the_place_is_named() -> None:
    """A finding says which rows: the one altered, those dropped, those swapped, those that were cut off."""
    whole = chain(20)
    head = head_of(whole[-1])
    altered = [*whole[:6], msgspec.structs.replace(whole[6], actor="nobody"), *whole[7:]]
    swapped = list(whole)
    swapped[3], swapped[9] = (msgspec.structs.replace(whole[a], seq=b + 1) for a, b in ((9, 3), (3, 9)))
    forged = msgspec.structs.replace(whole[4], seq=5, subject="t-0")
    inserted = [*whole[:4], forged, *(msgspec.structs.replace(row, seq=row.seq + 1) for row in whole[4:])]

    def places(found: list[Finding]) -> list[tuple[str, int, int]]:
        return [(each.kind, each.seq, each.to) for each in found]

    assert places(look(altered, head)) == [("altered", 7, 7)]
    assert places(look(whole[:4] + whole[6:], head)) == [("dropped", 5, 6)]
    assert places(look(swapped, head)) == [("moved", 4, 4), ("moved", 10, 10)]
    assert places(look(whole[:15], head)) == [("cut", 16, 20)]
    assert ("inserted", 5, 5) in places(look(inserted, head))


def test_a_wrong_key_is_named() -> None:
    """A key that is not the chain's is named by its id, and not taken for a chain that was tampered with."""
    whole, other = chain(5), keys_of(b"another's")

    found = look(whole, head_of(whole[-1]), other)

    assert {each.kind for each in found} == {"key"}
    assert KEYS.current[0] in found[0].message


def test_a_new_key_goes_on_where_the_old_one_ended() -> None:
    """After a change of keys the chain is whole; without the old key its rows are named, lost or not."""
    both = keys_of(b"the installation's", b"the next")
    first = chain(5)
    whole = [*first, *rows(both, WORKSPACE, head_of(first[-1]), map(event, range(5, 9)))]
    only = keys_of(b"the next")

    assert not look(whole, head_of(whole[-1]), both)
    assert [(each.kind, each.seq, each.to) for each in look(whole, head_of(whole[-1]), only)] == [("key", 1, 5)]
    lost = Keys(only.secrets, frozenset({KEYS.current[0]}))
    assert [(each.kind, each.to) for each in look(whole, head_of(whole[-1]), lost)] == [("unchecked", 5)]


def rotated() -> tuple[list[Row], Keys, list[Span]]:
    """Return a chain of forty rows under three keys, the second of which is lost; what signed from where on."""
    texts = [b"the first", b"the second", b"the third"]
    whole: list[Row] = []
    for at, (first, behind) in enumerate(pairwise((0, 10, 20, 40))):
        signing = keys_of(*texts[: at + 1])
        whole += rows(signing, WORKSPACE, head_of(whole[-1]) if whole else NO_ROW, map(event, range(first, behind)))
    known, lost = keys_of(texts[0], texts[2]), keys_of(texts[1]).current[0]
    spans = [Span(seq, whole[seq - 1].key) for seq in (1, 11, 21)]
    return whole, Keys(known.secrets, frozenset({lost})), spans


def kinds(found: list[Row], keys: Keys, spans: list[Span], portion: int) -> list[tuple[str, int, int]]:
    """Return what is found in a chain of which the store has seen the end and the keys."""
    looked = Chain(keys, WORKSPACE, head=head_of(rotated()[0][-1]), spans=spans)
    for at in range(0, len(found), portion):
        looked.feed(found[at : at + portion])
    return [(each.kind, each.seq, each.to) for each in looked.findings()]


def test_no_row_behind_a_lost_key_may_claim_it() -> None:
    """Rows that name a lost key where the store has seen another are found, alone or joined to those of that key."""
    whole, keys, spans = rotated()
    lost = whole[10].key
    assert kinds(whole, keys, spans, 7) == [("unchecked", 11, 20)]
    source = random.Random(4)
    for _ in range(ROUNDS):
        first = source.choice((1, 5, 10, 21, source.randint(22, 40)))
        behind = source.randint(first, 10 if first < 11 else 40)
        claimed = [
            msgspec.structs.replace(row, key=lost, subject="t-0") if first <= row.seq <= behind else row
            for row in whole
        ]
        found = kinds(claimed, keys, spans, source.choice((1, 7, 40)))
        assert ("key", first, behind) in found, f"{first} to {behind}: {found}"
        assert ("unchecked", 11, 20) in found


def test_a_lost_key_does_not_come_back() -> None:
    """Without a store that has seen the keys, as in CSV, a lost key that comes back behind another is found."""
    whole, keys, _ = rotated()
    claimed = [*whole[:29], msgspec.structs.replace(whole[29], key=whole[10].key, actor="nobody"), *whole[30:]]

    assert kinds(claimed, keys, [], 40) == [("unchecked", 11, 20), ("key", 30, 30)]
    last = [*whole[:39], msgspec.structs.replace(whole[39], key="0" * 16)]
    assert ("rewritten", 40, 40) in kinds(last, keys, [], 40)


@pytest.mark.parametrize("name", ["password", "apiKey", "api_key", "Authorization", "accessToken", "client_secret"])
def test_secrets_are_masked_by_their_names(name: str) -> None:
    """The value of a member whose name says that it is a secret is not in the audit, however deep and spelt it is."""
    spelt = "".join(f"\\u{ord(each):04x}" for each in name)
    for written in (name, spelt):
        shown = detail(b'{"metadata":{"list":[{"' + written.encode() + b'":"hunter2"}]},"id":"t-1"}')

        assert "hunter2" not in shown
        assert json.loads(shown)["id"] == "t-1"


def test_detail_is_bounded() -> None:
    """What is kept of a payload has its bound, whatever it was; what is short and without secrets is kept as it was."""
    deep = b'{"a":' * 500 + b"1" + b"}" * 500
    wide = json.dumps({"items": [{"text": "x" * 1000}] * 1000}).encode()
    many = json.dumps({f"m{n}": "x" * 150 for n in range(3000)}).encode()

    for payload in (deep, wide, many, b'{"password":"\\ud800"}', b"null", b"[]"):
        assert len(detail(payload).encode()) <= DETAIL_MAX
        json.loads(detail(payload))
    assert detail(b'{"id":"t-1",  "text":"kept"}') == '{"id":"t-1",  "text":"kept"}'


def test_detail_keeps_what_is_short_of_a_long_payload() -> None:
    """Of a payload that is too long the members that are no lists or objects are kept, the others counted."""
    lost = [{"id": f"1772355600000-{n}", "type": "task.created", "subject": f"t-{n}"} for n in range(57)]
    payload = json.dumps({"from": "1-0", "to": "2-0", "total": 57, "lost": lost, "apiKey": "hunter2"}).encode()

    told = json.loads(detail(payload))
    kept = {name: told[name] for name in ("from", "to", "total", "lost", "apiKey", "bytes")}
    counted = {"lost": "... (57 items)", "apiKey": "***", "bytes": len(payload)}
    assert kept == {"from": "1-0", "to": "2-0", "total": 57} | counted
    assert detail(payload) == detail(payload)


def test_the_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    """The key is made at the first start, readable by its owner, and is the same at the next."""
    made = make_keys(tmp_path / "audit.key")

    assert make_keys(tmp_path / "audit.key") == made
    assert stat.S_IMODE((tmp_path / "audit.key").stat().st_mode) == 0o600
    assert made.current[1].hex() not in repr(made)


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "holds no key"), ("hello\n", "line 1"), (f"{'0' * 64}\n{'g' * 64}", "line 2"), ("é", "not text")],
)
def test_a_file_that_is_no_key_is_refused(tmp_path: Path, text: str, said: str) -> None:
    """A file that holds something else is refused with where and why."""
    path = tmp_path / "audit.key"
    path.touch(mode=0o600)
    path.write_text(text)

    with pytest.raises(SettingsError, match=said):
        read_keys(path)


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    """A key that the group may read is refused with what to type; so is one that is not there."""
    path = tmp_path / "audit.key"
    make_keys(path)
    path.chmod(0o640)

    with pytest.raises(SettingsError, match="chmod 600"):
        read_keys(path)
    with pytest.raises(SettingsError, match="cannot be read"):
        read_keys(tmp_path / "none")
