"""What must be true of the files themselves."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def tracked() -> list[Path]:
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True, timeout=30).stdout
    return [ROOT / name for name in names.split("\n") if name and (ROOT / name).is_file()]


def test_versions_are_pinned_by_name_and_number_only() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    wrong = [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+(; .+)?", line)]
    assert lines
    assert wrong == []


def test_no_file_names_a_package_index_or_a_lock_with_addresses() -> None:
    hosts = re.compile("|".join(["pypi" + r"\.org", "python" + "hosted", r"registry\." + "npmjs"]))
    assert [p for p in tracked() if p.suffix != ".png" and hosts.search(p.read_text(errors="replace"))] == []
    assert not (ROOT / "uv.lock").exists()


def test_generated_code_is_not_committed() -> None:
    assert [p for p in tracked() if re.search(r"_pb2(_grpc)?\.pyi?$", p.name)] == []


def test_modules_stay_within_four_hundred_lines() -> None:
    code = [p for p in tracked() if p.suffix == ".py" and "tests" not in p.relative_to(ROOT).parts]
    assert [p for p in code if len(p.read_text().splitlines()) > 400] == []


def test_every_make_target_that_a_page_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    pages = [p for p in tracked() if p.suffix == ".md" and "adr" not in p.parts]
    named = {(p.name, t) for p in pages for t in re.findall(r"(?:^    |`)make ([a-z-]+)", p.read_text(), re.MULTILINE)}
    assert {(page, target) for page, target in named if target not in targets} == set()


def test_links_between_pages_lead_somewhere() -> None:
    links = {
        (page, target)
        for page in tracked()
        if page.suffix == ".md"
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    }
    broken = {(page.name, target) for page, target in links if not (page.parent / target).exists()}
    assert broken == set()


def test_the_chinese_readme_shows_the_same_commands() -> None:
    def commands(name: str) -> list[str]:
        lines = [line.strip() for line in (ROOT / name).read_text().splitlines() if line.startswith("    ")]
        return [line.split("#")[0].strip() for line in lines if line.startswith((".venv/bin/myx", "make", "git"))]

    def neutral(lines: list[str]) -> list[str]:
        return [re.sub(r"<[^>]*>", "<>", line) for line in lines]

    assert neutral(commands("README.md")) == neutral(commands("README.zh-CN.md"))
