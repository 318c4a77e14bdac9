"""Lines across pieces, streams and calls; what a pattern finds in them."""

import asyncio
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from executor_samples import command
from hypothesis import given, settings
from hypothesis import strategies as st

from myx_executor.domain import log_lines
from myx_executor.domain.command import RowKind
from myx_executor.domain.log import STDERR, STDOUT, LogBytes, LogGap, gather
from myx_executor.domain.states import Status
from myx_executor.store.codec import encode
from myx_executor.usecases import search_log
from myx_executor.usecases.search_log import LINE_BYTES, Pattern, SearchLog, SearchRequest
from myx_kit.errors import InvalidArgument, NotFound, OutOfRange, ResourceExhausted

GAP = 0


class Store:
    """Both stores, of one command whose log is made of (stream, bytes) and (GAP, length)."""

    def __init__(self, parts, piece_bytes=1 << 18, **fields):
        self.items, offset = [], 0
        for stream, data in parts:
            if stream == GAP:
                self.items.append(LogGap(offset, offset + data, "limit"))
                offset += data
            elif data:
                self.items.append(LogBytes(stream, offset, data))
                offset += len(data)
        self.rows = [encode(piece) for piece in gather(self.items, piece_bytes)]
        self.command = command(**{"status": Status.SUCCESS, "log_size": offset} | fields)
        self.pages = 0

    async def get(self, command_id):
        return self.command if command_id == self.command.id else None

    async def page(self, command_id, offset, span):
        self.pages += 1
        return [row for row in self.rows if row.offset < offset + span and row.offset + row.length > offset][:1024]


@pytest.fixture(scope="module")
def pool():
    with ThreadPoolExecutor(2) as pool:
        yield pool


async def search(pool, store, pattern, **fields):
    request = SearchRequest(store.command.id, pattern, **fields)
    return await SearchLog(store, store, pool).search(request)


async def search_all(pool, store, pattern, steps=lambda: 1000, **fields):
    found, offset = [], 0
    while True:
        one = await search(pool, store, pattern, from_offset=offset, max_matches=steps(), **fields)
        found += one.matches
        assert one.next_offset > offset or one.is_end
        offset = one.next_offset
        if one.is_end:
            assert offset == store.command.log_size
            return found


def naive(store):
    """(offset of the first byte, stream, line) of every line, by its end; a gap ends lines."""
    lines, open_lines = [], {}
    for item in store.items:
        if isinstance(item, LogGap):
            lines += [(item.offset + 1, start, s, text) for s, (start, text) in open_lines.items()]
            open_lines = {}
            continue
        for n, byte in enumerate(item.data):
            start, text = open_lines.get(item.stream, (item.offset + n, b""))
            if byte == 10:
                lines.append((item.offset + n + 1, start, item.stream, text))
                open_lines.pop(item.stream, None)
            else:
                open_lines[item.stream] = (start, text + bytes([byte]))
    end = store.command.log_size + 1
    lines += [(end, start, s, text) for s, (start, text) in open_lines.items()]
    return sorted(lines)


text = st.lists(st.sampled_from([b"a", b"bb", b"x\n", b"\n", b"needle", b"a\nneedle b\n", b"\xff\x00", b"nee", b"dle"]))
parts = st.lists(
    st.one_of(
        st.tuples(st.sampled_from([STDOUT, STDERR]), text.map(b"".join)), st.tuples(st.just(GAP), st.integers(1, 9))
    ),
    max_size=30,
)


@settings(deadline=None, max_examples=150)
@given(parts, st.integers(1, 20), st.randoms(use_true_random=False), st.sampled_from(["needle", "a", "x*", "^$"]))
def test_lines_are_found_once_each_whatever_the_pieces_the_streams_and_the_steps(pool, made, piece, chance, pattern):
    store = Store(made, piece)
    regex = pattern in ("x*", "^$")
    want = {"needle": lambda t: b"needle" in t, "a": lambda t: b"a" in t, "x*": bool, "^$": lambda t: not t}[pattern]
    matches = [line for line in naive(store) if want(line[3]) or pattern == "x*"]
    found = asyncio.run(search_all(pool, store, pattern, lambda: chance.randint(1, 4), regex=regex))
    assert sorted((m.end, m.offset, m.stream, m.line) for m in found) == matches


@settings(deadline=None, max_examples=300)
@given(parts, st.integers(1, 20), st.randoms(use_true_random=False), st.sampled_from(["needle", "a", "^$"]))
def test_any_step_finds_what_one_look_at_all_finds_even_where_lines_have_no_end(pool, made, piece, chance, pattern):
    store = Store(made * 4, piece)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_lines, "SPAN", 16)
        patch.setattr(log_lines, "OVERLAP", 5)
        whole = asyncio.run(search_all(pool, store, pattern, regex=True))
        assert len({(m.end, m.stream) for m in whole}) == len(whole)
        patch.setattr(search_log, "CALL_BYTES", chance.randint(1, 40))
        patch.setattr(search_log, "PAGE_BYTES", chance.randint(1, 40))
        stepwise = asyncio.run(search_all(pool, store, pattern, lambda: chance.randint(1, 4), regex=True))
        assert sorted(stepwise, key=repr) == sorted(whole, key=repr)
        # From any offset: all lines that end behind it.
        offset = chance.randint(0, store.command.log_size)
        some = asyncio.run(search(pool, store, pattern, from_offset=offset, regex=True, max_matches=1000))
        if some.is_end:
            assert sorted(some.matches, key=repr) == sorted((m for m in whole if m.end > offset), key=repr)


async def test_the_line_that_holds_the_offset_is_looked_at_whole(pool):
    store = Store([(STDOUT, b"first needle here\nsecond\n"), (STDERR, b"third needle\n")])
    found = await search(pool, store, "needle", from_offset=14)
    assert [(m.offset, m.line) for m in found.matches] == [(0, b"first needle here"), (25, b"third needle")]
    assert found.matches[0].match_start == 6
    found = await search(pool, store, "needle", from_offset=18)
    assert [m.stream for m in found.matches] == [STDERR]


async def test_a_match_across_the_parts_of_a_line_without_end_is_found(pool):
    data = bytearray(b"x" * (3 << 20))
    places = [(1 << 20) - 3, (2 << 20) - 3, 100]
    for place in places:
        data[place : place + 6] = b"needle"
    store = Store([(STDOUT, bytes(data))])
    found = await search_all(pool, store, "needle")
    assert len(found) == 3
    for match in found:
        assert match.line[match.match_start : match.match_end] == b"needle"
        assert len(match.line) == LINE_BYTES


async def test_a_hundred_megabytes_without_a_newline_are_bounded_work(pool):
    block = random.Random(1).randbytes(1 << 18).replace(b"\n", b"\0")
    store = Store([(STDOUT, block)] * 400)
    found, offset, calls = None, 0, 0
    while found is None or not found.is_end:
        found = await search(pool, store, "nothing like it", from_offset=offset)
        assert found.next_offset - offset <= search_log.CALL_BYTES + 2 * search_log.PAGE_BYTES
        offset, calls = found.next_offset, calls + 1
    assert calls >= 4


async def test_a_running_commands_open_line_counts_once_it_ends(pool):
    store = Store([(STDOUT, b"needle 1\nneed")], status=Status.RUNNING)
    first = await search(pool, store, "needle")
    assert (len(first.matches), first.next_offset, first.is_end) == (1, 13, True)
    store = Store([(STDOUT, b"needle 1\nneed"), (STDERR, b"-\n"), (STDOUT, b"le 2")], id=store.command.id)
    again = await search(pool, store, "needle", from_offset=first.next_offset)
    assert [m.line for m in again.matches] == [b"needle 2"]
    assert again.is_end


async def test_a_log_that_retention_took_has_no_matches(pool):
    store = Store([(STDOUT, b"needle\n")], log_purged_at="then", kind=RowKind.DEPLOYMENT)
    found = await search(pool, store, "needle")
    assert (found.matches, found.next_offset, found.is_end, found.log_size) == ((), 7, True, 7)


async def test_rows_that_vanish_meanwhile_are_a_gap(pool):
    store = Store([(STDOUT, b"needle\n" * 100)], 70)
    store.rows = store.rows[:3]
    found = await search(pool, store, "needle")
    assert (len(found.matches), found.is_end) == (30, True)


def first(pattern, data, **options):
    store = Store([(STDOUT, data)])
    with ThreadPoolExecutor(1) as pool:
        found = asyncio.run(search(pool, store, pattern, **options))
    return [(m.line, m.match_start, m.match_end) for m in found.matches]


def test_plain_patterns_are_plain_and_case_is_folded_on_request():
    assert first("a.b", b"axb\na.b\n") == [(b"a.b", 0, 3)]
    assert first("ÄRGER", "viel ärger\n".encode(), ignore_case=True) == [("viel ärger".encode(), 5, 11)]
    assert first("ARGH", b"argh\n") == []


def test_expressions_match_within_a_line():
    data = b"one two\nthree\n\nfour\xff\x00five\n"
    assert first("^t.*e$", data, regex=True) == [(b"three", 0, 5)]
    assert first("two\\s+three", data, regex=True) == []
    assert first("o[^q]*e", data, regex=True) == [(b"one two", 0, 3)]
    assert first("r\\C\\x00f", data, regex=True) == [(b"four\xff\x00five", 3, 7)]
    assert first("^$", data, regex=True) == [(b"", 0, 0)]
    assert first("\\Athree\\z", data, regex=True) == [(b"three", 0, 5)]
    assert first("(?-m)^three$", data, regex=True) == [(b"three", 0, 5)]
    assert first("(?i)FIVE$", data, regex=True) == [(b"four\xff\x00five", 6, 10)]


@pytest.mark.parametrize(
    ("pattern", "regex"),
    [
        ("", False),
        ("x" * 1001, False),
        ("a\nb", False),
        ("(", True),
        ("(?=x)", True),
        ("(a{1000}){1000}", True),
        ("(?:.?.?.?.?){1000}b{900}c", True),
    ],
)
def test_patterns_that_are_none_are_said(pattern, regex):
    with pytest.raises(InvalidArgument) as error:
        Pattern(pattern, regex=regex, ignore_case=False)
    assert error.value.reason == "PATTERN_INVALID"
    assert error.value.fields["field"] == "pattern"


async def test_a_pattern_that_ruins_other_engines_is_linear(pool):
    store = Store([(STDOUT, b"x" * (1 << 20) + b"\n")])
    found = await search(pool, store, "(x+x+)+y", regex=True)
    assert (found.matches, found.is_end) == ([], True)


async def test_a_pattern_that_takes_too_long_is_refused(pool, monkeypatch):
    monkeypatch.setattr(search_log, "_LONGEST_S", 0.0)
    store = Store([(STDOUT, b"x\n" * (1 << 17))])
    for pattern in ("y", "\\Ay"):
        with pytest.raises(InvalidArgument, match="too long"):
            await search(pool, store, pattern, regex=True)


async def test_a_cut_line_is_not_looked_at_once_for_each_of_its_bytes(pool, monkeypatch):
    looks = []

    class Counted:
        def __init__(self, regexp):
            self.regexp = regexp

        def search(self, *where):
            looks.append(where)
            return self.regexp.search(*where)

    pattern = Pattern("b.*zzz|b", regex=True, ignore_case=False)
    pattern._regexp = Counted(pattern._regexp)
    text = log_lines.Text(STDOUT, b"b" * 10_000, [0], [0], repeated=log_lines.OVERLAP)
    assert [match.match_start for match in pattern.find(text, -1, 10)] != []
    assert len(looks) <= search_log._REPEATED_MATCHES + 2


@pytest.mark.parametrize("pattern", ["^$", "^", "$", "e$", "^n.*e$", "\\bneedle\\b"])
def test_lines_are_the_same_however_many_are_looked_at_at_once(monkeypatch, pattern):
    data = b"".join(random.Random(1).choices([b"\n", b"needle\n", b"x" * 30 + b"\n", b"no needle\n"], k=500)) + b"ne"
    known = first(pattern, data, regex=True)
    for window in (1, 7, 40, 1 << 20):
        monkeypatch.setattr(search_log, "_WINDOW", window)
        assert first(pattern, data, regex=True) == known


async def test_who_leaves_keeps_its_turn_until_its_thread_is_free(pool, monkeypatch):
    free = threading.Event()
    began = asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(self, text, behind, limit):
        loop.call_soon_threadsafe(began.set)
        assert free.wait(60)
        return []

    monkeypatch.setattr(Pattern, "find", slow)
    store = Store([(STDOUT, b"needle\n")])
    searches = SearchLog(store, store, pool)
    task = asyncio.create_task(searches.search(SearchRequest(store.command.id, "n")))
    await began.wait()
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    free.set()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_ids_offsets_and_numbers_that_are_wrong(pool):
    store = Store([(STDOUT, b"needle\n")])
    with pytest.raises(OutOfRange):
        await search(pool, store, "n", from_offset=8)
    with pytest.raises(OutOfRange):
        await search(pool, store, "n", from_offset=-1)
    with pytest.raises(InvalidArgument):
        await search(pool, store, "n", max_matches=1001)
    with pytest.raises(NotFound):
        await SearchLog(store, store, pool).search(SearchRequest(command().id, "n"))
    running = Store([(STDOUT, b"needle\n")], status=Status.RUNNING)
    assert (await search(pool, running, "n", from_offset=99)).next_offset == 99


async def test_too_many_searches_at_once_are_refused(pool, monkeypatch):
    monkeypatch.setattr(search_log, "_WAITING", 3)
    store = Store([(STDOUT, b"needle\n")])
    searches = SearchLog(store, store, pool)
    request = SearchRequest(store.command.id, "needle")
    outcomes = await asyncio.gather(*(searches.search(request) for _ in range(10)), return_exceptions=True)
    refused = [one for one in outcomes if isinstance(one, ResourceExhausted)]
    assert len(refused) == 7
    assert (await searches.search(request)).matches
