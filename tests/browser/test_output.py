"""Output in the dashboard's terminal: complete, harmless, quick."""

import hashlib
import sys
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from myx_testkit.rest import Rest
from myx_testkit.standalone import Standalone
from myx_testkit.wait import until_sync

sys.path.insert(0, str(Path(__file__).parent))
from work_pages import WITHIN_MS, corpus, shell, terminal_ends, terminal_text, wait_final


def opened(page: Page, command_id: str) -> None:
    page.goto(f"/commands/{command_id}")
    expect(page.get_by_test_id("terminal")).to_be_visible(timeout=WITHIN_MS)


def test_output_is_complete_after_the_gateway_was_killed_in_the_middle(page: Page, myx: Standalone, rest: Rest) -> None:
    command_id = shell(rest, "local", "for i in $(seq 1 300); do echo line $i; echo side $i >&2; sleep 0.03; done")
    opened(page, command_id)
    line = page.get_by_test_id("stream-state")
    expect(line).to_have_attribute("data-kind", "live", timeout=WITHIN_MS)
    before = offset(page)
    myx.kill9("gateway")
    expect(line).not_to_have_attribute("data-kind", "live", timeout=WITHIN_MS)
    terminal_ends(page)
    assert offset(page) > before
    expected = [f"{word} {number}" for number in range(1, 301) for word in ("line", "side")]
    text = terminal_text(page).splitlines()
    # The two pipes may overtake one another by a line, so each is compared by itself.
    for word in ("line", "side"):
        assert [one for one in text if one.startswith(word)] == [one for one in expected if one.startswith(word)]
    assert len(text) == 600
    assert offset(page) == wait_final(rest, f"/commands/{command_id}")["log_size_bytes"]


def offset(page: Page) -> int:
    return int(page.get_by_test_id("terminal").get_attribute("data-offset") or 0)


class Watch:
    """All that a page does beyond showing: dialogs, new pages, requests elsewhere, messages sent."""

    def __init__(self, page: Page) -> None:
        self.seen: list[str] = []
        origin = page.url.split("/", 3)[2]
        page.on("dialog", lambda dialog: (self.seen.append(f"dialog {dialog.message}"), dialog.dismiss()))
        page.context.on("page", lambda other: self.seen.append(f"page {other.url}"))
        page.on("request", lambda request: origin in request.url or self.seen.append(f"request {request.url}"))
        page.on("websocket", lambda socket: socket.on("framesent", lambda data: self.seen.append(f"sent {data!r}")))


def test_harmful_escapes_do_nothing_and_hide_nothing(page: Page, rest: Rest, tmp_path: Path) -> None:
    items = corpus()
    played = tmp_path / "played"
    played.write_bytes(
        b"".join(
            f"{number}< ".encode() + (item["bytes"] * item.get("times", 1)).encode("latin-1") + b" >\n"
            for number, item in enumerate(items)
        )
    )
    command_id = shell(rest, "local", f"cat '{played}'; printf '\\033]0;no end'; echo; echo last")
    wait_final(rest, f"/commands/{command_id}")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto("/commands")
    page.evaluate("navigator.clipboard.writeText('untouched')")
    watch = Watch(page)
    opened(page, command_id)
    terminal_ends(page)
    expect(page.locator(".xterm-rows")).to_contain_text("last", timeout=WITHIN_MS)
    title = page.title()
    assert "owned" not in title
    assert title.endswith("· MyX")
    assert page.evaluate("navigator.clipboard.readText()") == "untouched"
    assert page.locator(".xterm a").count() == 0
    for row in page.locator(".xterm-rows > div", has_text="click").all():
        row.hover()
        row.click(modifiers=["ControlOrMeta"])
    assert page.locator(".xterm-cursor-pointer").count() == 0
    page.get_by_label("Output of local").first.focus()
    page.keyboard.type("rm -rf /\n")
    lines = [one.rstrip() for one in terminal_text(page).splitlines()]
    for number, item in enumerate(items):
        # What xterm shows of U+FFFD and of nothing is text again.
        assert f"{number}< {as_text(item)} >".replace("  ", " ") in [one.replace("  ", " ") for one in lines], item[
            "name"
        ]
    assert lines[-1] == "last"
    assert watch.seen == []


def as_text(item: dict[str, Any]) -> str:
    return str(item.get("left", ""))


def test_ten_thousand_lines_a_second_leave_the_page_answering_and_its_memory_bounded(page: Page, rest: Rest) -> None:
    program = (
        "import time\n"
        "text = ''.join('%07d ' + 'x' * 60 + '\\n' for _ in range(1000))\n"
        "start = time.monotonic()\n"
        "for part in range(80):\n"
        "    print(text % tuple(range(part * 1000, part * 1000 + 1000)), end='', flush=True)\n"
        "    time.sleep(max(0, start + (part + 1) / 10 - time.monotonic()))\n"
    )
    body = {"server": "local", "command": sys.executable, "args": ["-c", program]}
    command_id = rest.post("/commands", body)["id"]
    opened(page, command_id)
    expect(page.get_by_test_id("stream-state")).to_have_attribute("data-kind", "live", timeout=WITHIN_MS)
    until_sync(lambda: offset(page) > 500_000, 60, what="output flows")
    answers = [page.evaluate(FRAMES_UNTIL_ANSWERED) for _ in range(10)]
    assert max(answers) <= 10, answers
    terminal_ends(page)
    expect(page.locator(".xterm-rows")).to_contain_text("0079999 ", timeout=WITHIN_MS)
    lines = terminal_text(page).splitlines()
    assert lines[-1].startswith("0079999 ")
    numbers = [int(line[:7]) for line in lines if line[:7].isdigit()]
    assert numbers == list(range(numbers[0], 80_000))
    # The scrollback and a screen: not the 80,000 lines.
    assert len(lines) < 11_000
    assert page.locator("main *").count() < 2_000


# Opens or closes the search and counts the frames until React has shown it: in a frozen tab it would never come.
FRAMES_UNTIL_ANSWERED = """async () => {
  const button = [...document.querySelectorAll('main button')].find((one) => one.textContent === 'Search');
  const before = button.getAttribute('aria-expanded');
  button.click();
  for (let frames = 0; frames < 300; frames += 1) {
    if (button.getAttribute('aria-expanded') !== before) return frames;
    await new Promise(requestAnimationFrame);
  }
  return 300;
}"""


def test_a_huge_line_and_a_bar_of_progress_are_what_they_are_in_a_terminal(page: Page, rest: Rest) -> None:
    huge = "head -c 2000000 /dev/zero | tr '\\0' z; echo"
    script = huge + "; printf '10%%\\r20%%\\r100%%\\n'; printf 'a\\033[1;31mred\\033[0mb\\n'"
    command_id = shell(rest, "local", script)
    wait_final(rest, f"/commands/{command_id}")
    opened(page, command_id)
    terminal_ends(page)
    rows = page.locator(".xterm-rows")
    expect(rows).to_contain_text("aredb", timeout=WITHIN_MS)
    colour = "(one) => getComputedStyle(one).color"
    assert rows.locator("span", has_text="red").last.evaluate(colour) != rows.evaluate(colour)
    text = terminal_text(page).splitlines()
    assert text[-2:] == ["100%", "aredb"]


def test_each_stream_can_be_had_alone_and_the_receipt_has_its_digest(page: Page, rest: Rest) -> None:
    command_id = shell(rest, "local", "echo one; echo two >&2; exit 7")
    wait_final(rest, f"/commands/{command_id}")
    opened(page, command_id)
    terminal_ends(page)
    assert sorted(terminal_text(page).split()) == ["one", "two"]
    page.get_by_text("stderr", exact=True).click()
    terminal_ends(page)
    expect(page.locator(".xterm-rows")).not_to_contain_text("one")
    assert terminal_text(page) == "two\n"
    receipt = page.get_by_test_id("receipt")
    for text in ("7", hashlib.sha256(b"one\n").hexdigest(), hashlib.sha256(b"two\n").hexdigest(), "complete"):
        expect(receipt).to_contain_text(text)


def test_a_long_log_begins_near_its_end_and_is_searched_jumped_into_and_downloaded_whole(
    page: Page, rest: Rest, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    lines = [f"{number:07d} {'needle ' if number == 12_345 else ''}{'.' * 20}\n" for number in range(60_000)]
    source.write_text("".join(lines))
    command_id = shell(rest, "local", f"cat '{source}'")
    wait_final(rest, f"/commands/{command_id}")
    opened(page, command_id)
    terminal_ends(page)
    expect(page.get_by_test_id("place")).to_be_visible()
    assert terminal_text(page).splitlines()[-1] == lines[-1].rstrip()
    page.get_by_role("button", name="Search").click()
    page.get_by_label("Text in the whole output").fill("NEEDLE")
    page.get_by_role("button", name="Find", exact=True).click()
    page.get_by_role("button", name="0012345 needle").click(timeout=WITHIN_MS)
    expect(page.get_by_test_id("stream-state")).to_contain_text("An excerpt", timeout=WITHIN_MS)
    expect(page.locator(".xterm-rows")).to_contain_text("0012345 needle", timeout=WITHIN_MS)
    expect(page.locator(".xterm-rows")).not_to_contain_text("0017000")
    expect(page.get_by_role("button", name="Follow ↓")).to_be_visible()
    assert page.locator(".xterm-selection div").count() > 0
    page.get_by_role("button", name="End, and follow").click()
    expect(page.locator(".xterm-rows")).to_contain_text("0059999", timeout=WITHIN_MS)
    page.get_by_role("button", name="Download").click()
    with page.expect_download() as download:
        page.get_by_role("menuitem", name="All output").click()
    got = Path(download.value.path()).read_bytes()
    assert hashlib.sha256(got).hexdigest() == hashlib.sha256(source.read_bytes()).hexdigest()


def test_the_keyboard_moves_through_output_and_out_of_it(page: Page, rest: Rest) -> None:
    command_id = shell(rest, "local", "seq 1 500")
    wait_final(rest, f"/commands/{command_id}")
    opened(page, command_id)
    terminal_ends(page)
    expect(page.locator(".xterm-rows")).to_contain_text("500", timeout=WITHIN_MS)
    page.locator(".xterm-helper-textarea").focus()
    page.keyboard.press("Home")
    expect(page.locator(".xterm-rows > div").first).to_have_text("1", timeout=WITHIN_MS)
    expect(page.get_by_role("button", name="Follow ↓")).to_be_visible()
    page.keyboard.press("End")
    expect(page.get_by_role("button", name="Follow ↓")).to_have_count(0)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('.xterm')") is None


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_usable_at_the_width_of_a_phone(page: Page, rest: Rest, scheme: Any) -> None:
    command_id = shell(rest, "local", "seq 1 50; echo " + "w" * 300)
    wait_final(rest, f"/commands/{command_id}")
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": 375, "height": 720})
    opened(page, command_id)
    terminal_ends(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    assert terminal_text(page).splitlines()[-1] == "w" * 300
