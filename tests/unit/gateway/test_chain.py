"""The chain of the audit trail."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from myx_gateway.chain import GENESIS, SEAL, START, Check, Head, digest, linked, time_text


def chain(count: int, before: Head = START, **fields: Any) -> list[dict[str, Any]]:
    entries = []
    for number in range(count):
        entry = linked({"operation": "commands.run", "details": {"n": number, "text": "größe"}, **fields}, before)
        before = Head(entry["seq"], entry["hash"])
        entries.append(entry)
    return entries


def checked(
    entries: list[dict[str, Any]],
    recorded: Head | None = None,
    sealed: Head = START,
    expected: Head | None = None,
) -> Check:
    check = Check(sealed, expected)
    if all(check.add(entry) for entry in entries):
        last = entries[-1] if entries else {"seq": sealed.seq, "hash": sealed.hash}
        check.end(recorded or Head(last["seq"], last["hash"]))
    return check


def test_a_chain_is_right_from_its_first_entry_to_its_head() -> None:
    entries = chain(3)
    check = checked(entries)
    assert check.fault is None
    assert (check.count, check.head) == (3, Head(3, entries[-1]["hash"]))
    assert entries[0]["prev_hash"] == GENESIS
    assert checked([]).fault is None


def test_the_hash_does_not_depend_on_the_order_of_keys_and_covers_each() -> None:
    (entry,) = chain(1)
    assert digest(dict(reversed(entry.items()))) == entry["hash"]
    for name in entry.keys() - {"hash"}:
        assert digest({**entry, name: "other"}) != entry["hash"]


@pytest.mark.parametrize("at", range(5))
def test_a_change_anywhere_is_found_where_it_is(at: int) -> None:
    entries = chain(5)
    entries[at] = {**entries[at], "details": {"n": "another"}}
    fault = checked(entries).fault
    assert fault is not None
    assert fault.seq == at + 1


def test_a_change_that_was_hashed_again_breaks_what_follows() -> None:
    entries = chain(5)
    entries[2] = linked({**entries[2], "details": {}}, Head(2, entries[1]["hash"]))
    fault = checked(entries).fault
    assert fault is not None
    assert fault.seq == 4


def test_what_was_removed_or_reordered_or_inserted_is_found() -> None:
    entries = chain(5)
    removed = checked(entries[:2] + entries[3:]).fault
    assert removed is not None
    assert removed.seq == 3
    swapped = [entries[0], {**entries[2], "seq": 2}, {**entries[1], "seq": 3}, *entries[3:]]
    reordered = checked(swapped).fault
    assert reordered is not None
    assert reordered.seq == 2
    foreign = {**entries[4], "seq": 6}
    inserted = checked([*entries, foreign], Head(5, entries[4]["hash"])).fault
    assert inserted is not None
    assert inserted.seq == 6
    before = checked([{**entries[0], "seq": 0}, *entries]).fault
    assert before is not None
    assert before.seq == 0


def test_a_tail_that_was_cut_off_is_found_by_the_head_on_record() -> None:
    entries = chain(5)
    fault = checked(entries[:3], Head(5, entries[4]["hash"])).fault
    assert fault is not None
    assert fault.seq == 4
    forgotten = checked(entries, Head(3, entries[2]["hash"])).fault
    assert forgotten is not None
    assert forgotten.seq == 4


def test_a_tail_that_was_cut_off_with_its_head_is_found_by_a_head_that_was_kept() -> None:
    entries = chain(5)
    kept = Head(5, entries[4]["hash"])
    assert checked(entries[:3]).fault is None
    fault = checked(entries[:3], expected=kept).fault
    assert fault is not None
    assert fault.seq == 4
    assert checked(entries, expected=kept).fault is None
    assert checked(entries, expected=Head(2, entries[1]["hash"])).fault is None


def test_a_chain_that_was_made_anew_is_found_by_a_head_that_was_kept() -> None:
    kept = Head(3, chain(3)[2]["hash"])
    fault = checked(chain(5, operation="servers.delete"), expected=kept).fault
    assert fault is not None
    assert fault.seq == 3


def test_what_was_sealed_may_be_missing_and_nothing_else() -> None:
    entries = chain(5)
    sealed = Head(2, entries[1]["hash"])
    tail = entries[2:]
    last = Head(5, entries[4]["hash"])
    seal = linked({"operation": SEAL, "details": {"through": 2, "hash": sealed.hash}}, last)
    assert checked([*tail, seal], sealed=sealed).fault is None
    assert checked([*tail, seal], sealed=sealed, expected=sealed).fault is None
    without = checked(tail, sealed=sealed).fault
    assert without is not None
    assert without.seq == 2
    missing = checked([*tail[1:], seal], sealed=sealed).fault
    assert missing is not None
    assert missing.seq == 3
    gone = checked([*tail, seal], sealed=sealed, expected=Head(1, entries[0]["hash"])).fault
    assert gone is not None
    assert "dropped" in gone.problem


def test_times_are_written_one_way() -> None:
    at = datetime(2026, 11, 26, 14, 0, tzinfo=timezone(timedelta(hours=2)))
    assert time_text(at) == "2026-11-26T12:00:00.000000Z"
    assert time_text(datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)) == "2026-01-02T03:04:05.000006Z"
