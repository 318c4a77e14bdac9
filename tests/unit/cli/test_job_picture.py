"""The display of a job as lines."""

import pytest

from myx_cli.jobs.cells import columns, cut, inert
from myx_cli.jobs.groups import groups, names_line
from myx_cli.jobs.live import last_line
from myx_cli.jobs.picture import Facts, Running, picture
from myx_cli.jobs.states import counts, job_code, target_sentence
from myx_cli.jobs.terminal import _ASCII, _UNICODE, _encoding


def plain(text, _style):
    return text


def marked(text, style):
    return f"<{style}>{text}</>"


def job(counts_, **facts):
    total = sum(counts_.values())
    work = {"command": {"command": "uptime", "args": []}}
    return {"status": "running", "target_count": total, "counts": counts_, "work": work, **facts}


def draw(job_, running=(), size=(60, 20), elapsed_s=12.0, glyphs=_UNICODE):
    facts = Facts(job_, [Running(*pair) for pair in running], len(running), elapsed_s)
    return picture(facts, size, glyphs, plain)


def test_head_bar_and_counts():
    lines = draw(job({"waiting": 50, "running": 10, "success": 38, "failed": 2}, batch=2, batch_count=4))
    texts = [text for text, _ in lines]
    assert texts[0] == "uptime on 100 servers: running, batch 2 of 4, 12 s"
    assert texts[1].endswith(" 40/100")
    bar = texts[1].removesuffix(" 40/100")
    assert (len(bar), set(bar)) == (52, {"█", "▒", "░"})
    assert bar == "█" * bar.count("█") + "▒" * bar.count("▒") + "░" * bar.count("░")
    assert texts[2] == "38 success, 50 waiting, 10 running, 2 failed"


@pytest.mark.parametrize(
    ("told", "bar"),
    [
        ({"success": 3}, "##########"),
        ({"waiting": 3}, ".........."),
        ({"running": 3}, "=========="),
        ({"failed": 1, "waiting": 999}, "#........."),
        ({"success": 998, "running": 1, "waiting": 1}, "#########="),
        ({"success": 999, "waiting": 1}, "#########."),
    ],
)
def test_a_bar_is_never_full_before_the_end_and_shows_the_smallest_part(told, bar):
    job_ = job(told)
    label = f" {sum(n for s, n in told.items() if s not in {'waiting', 'running'})}/{job_['target_count']}"
    assert draw(job_, size=(11 + len(label), 20), glyphs=_ASCII)[1][0] == bar + label


@pytest.mark.parametrize("status", ["paused", "stopping", "cancelling", "pending"])
def test_what_a_job_waits_for_is_said(status):
    lines = draw(job({"running": 1}, status=status, next="waits for 1 agent"))
    assert lines[3][0] == "waits for 1 agent"
    assert "waits" not in draw(job({"running": 1}, next="waits for 1 agent"))[-1][0]


def test_between_two_batches_it_is_said_when_the_next_begins():
    facts = {"batch_count": 2, "next": "Batch 2 of 2 begins at 12:46."}
    assert draw(job({"success": 1, "waiting": 2}, **facts))[-1][0] == "Batch 2 of 2 begins at 12:46."
    assert "begins" not in draw(job({"success": 1, "waiting": 1, "running": 1}, **facts))[-1][0]


@pytest.mark.parametrize("size", [(80, 24), (40, 10), (20, 6), (10, 5), (1, 1), (300, 3)])
def test_a_picture_fits_the_terminal(size):
    running = [(f"server-with-a-very-long-name-{number}", "日本" * 300) for number in range(100)]
    job_ = job({"running": 100, "success": 5, "failed": 1, "unreachable": 2}, work={"command": {"command": "x" * 500}})
    lines = draw(job_, running, size)
    assert len(lines) <= max(4, size[1] - 1)
    for text, width in lines:
        assert width == columns(text)
        assert width <= max(size[0] - 1, 8)


def test_widths_do_not_count_colours():
    facts = Facts(job({"running": 2, "failed": 1}), [Running("a", "out")], 2, 5)
    for (text, width), (bare, _) in zip(
        picture(facts, (60, 20), _UNICODE, marked), picture(facts, (60, 20), _UNICODE, plain), strict=True
    ):
        assert width == columns(bare)
        assert len(text) >= len(bare)


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("plain", "plain"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07x", "x"),
        ("\x1b]0;title\x1b\\x", "x"),
        ("\x1b]0;never ended", ""),
        ("\x1bPdevice\x1b\\x\x1b7\x1b(B", "x"),
        ("\x9b5Ax", "x"),
        ("10%\r50%\r\r", "50%"),
        ("a\tb", "a       b"),
        ("\x00\x07\x08\x7f\x85", "?????"),
        ("a\u202eb\u2066c\u200f", "a?b?c?"),
        ("\x1b[38;5;196mx\x1b[m", "x"),
        ("\x1b\x1b[2Jx", "?x"),
    ],
)
def test_text_of_hosts_is_inert(text, safe):
    assert inert(text) == safe


@pytest.mark.parametrize(
    ("text", "width", "part"),
    [
        ("abc", 2, "ab"),
        ("日本語", 5, "日本"),
        ("e\u0301e\u0301", 1, "e\u0301"),
        ("", 5, ""),
        ("日", 1, ""),
        ("é", 0, ""),
    ],
)
def test_text_is_cut_by_columns(text, width, part):
    assert cut(text, width) == part
    assert columns(part) <= width


@pytest.mark.parametrize(
    ("tail", "line"),
    [
        (b"a\nb\n", "b"),
        (b"a\nb\n\n  \n", "b"),
        (b"a\r\nb\r\n", "b"),
        (b"10%\r20%", "20%"),
        (b"", ""),
        (b"\n\n", ""),
        (b"\xff\xfe", "\ufffd\ufffd"),
    ],
)
def test_the_last_line_is_the_last_with_something_in_it(tail, line):
    assert last_line(tail) == line


def target(number, status, **facts):
    return {"number": number, "server_name": f"s{number}", "status": status, "log_size_bytes": 3, **facts}


def test_groups_are_alike_in_state_exit_and_output():
    found = groups(
        [
            target(1, "success", exit_code=0, output_sha256="a"),
            target(2, "success", exit_code=0, output_sha256="b"),
            target(3, "success", exit_code=0, output_sha256="a"),
            target(4, "unreachable", message="refused", log_size_bytes=0),
            target(5, "unreachable", message="refused", log_size_bytes=0),
            target(6, "unreachable", message="no route", log_size_bytes=0),
            target(7, "failed", exit_code=1, reason="exit_code", output_sha256="a"),
            target(8, "failed", exit_code=1, reason="exit_code", output_sha256=""),
            target(9, "failed", exit_code=1, reason="exit_code", output_sha256=""),
        ]
    )
    assert [group.names for group in found] == [["s7"], ["s8"], ["s9"], ["s4", "s5"], ["s6"], ["s1", "s3"], ["s2"]]


def test_names_are_cut():
    names = [f"web{number}" for number in range(1, 13)]
    assert names_line(names, 2) == "web1, web2, +10"
    assert names_line(names[:3], 2) == "web1, web2, web3"


def test_counts_come_as_list_or_mapping():
    listed = {"counts": [{"status": "failed", "count": 1}, {"status": "success", "count": 2}]}
    assert counts(listed) == counts({"counts": {"success": 2, "failed": 1, "lost": 0}}) == {"success": 2, "failed": 1}
    assert counts({}) == {}


def test_a_zero_of_a_failed_target_is_not_a_success():
    failed = {"status": "failed", "exit_code": 0, "reason": "output_lost", "message": "it cannot be told"}
    assert job_code({"status": "failed", "counts": {"failed": 1}}, [failed]) == 1
    assert target_sentence(failed) == "exit code 0, it cannot be told"


@pytest.mark.parametrize(
    ("environment", "encoding"),
    [
        ({"LANG": "en_US.UTF-8"}, "utf-8"),
        ({}, "utf-8"),
        ({"LANG": "C"}, "ascii"),
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, "ascii"),
        ({"LC_CTYPE": "C.UTF-8"}, "utf-8"),
        ({"LC_ALL": "de_DE.ISO-8859-15@euro", "LANG": "en_US.UTF-8"}, "iso8859-15"),
        ({"LANG": "de_DE"}, "iso8859-1"),
        ({"LANG": "xx_YY.nonsense"}, "ascii"),
    ],
)
def test_the_locale_says_what_the_terminal_takes(monkeypatch, environment, encoding):
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert _encoding() == encoding


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (
            {"status": "unreachable", "message": "the agent could not be reached: refused"},
            "the agent could not be reached: refused",
        ),
        (
            {"status": "unreachable", "reason": "server_not_found", "message": "the server has no agent"},
            "the server has no agent",
        ),
        ({"status": "unreachable", "message": "refused"}, "the agent could not be reached: refused"),
        ({"status": "cancelled", "message": "cancelled on request"}, "cancelled on request"),
        ({"status": "timeout"}, "ended by its time limit"),
    ],
)
def test_the_same_is_not_said_twice(target, said):
    assert target_sentence(target) == said
