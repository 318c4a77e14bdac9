"""The lines of docs/operations/keys.md for `make up`, typed as they stand there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from myx_kit.files import write_private
from myx_kit.secretbox import SecretBox
from myx_standalone.home import Home

PAGE = Path(__file__).resolve().parents[3] / "docs" / "operations" / "keys.md"


def lines_about(service):
    """What the page has people type about a service on one machine."""
    (section,) = re.findall(r"^## On one machine$(.*?)^## ", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return [line.strip() for line in section.splitlines() if line.startswith("    ") and service in line]


@pytest.fixture
def checkout(tmp_path, postgres):
    """A folder with `.venv` and with `.myx` as `make up` leaves it."""
    (tmp_path / ".venv").symlink_to(sys.prefix)
    home = Home(tmp_path / ".myx")
    home.secrets.mkdir(parents=True)
    for service in ("registry", "executor"):
        SecretBox.create_file(home.master_key_file(service))
        write_private(home.database_url_file(service), postgres.url)
        program = [sys.executable, "-m", f"myx_{service}", "migrate"]
        urls = {f"MYX_{service.upper()}_DATABASE_URL_FILE": str(home.database_url_file(service))}
        subprocess.run(program, env={"PATH": os.environ["PATH"]} | urls, check=True, timeout=60)
    return tmp_path


@pytest.mark.parametrize("service", ["registry", "executor"])
def test_the_lines_for_one_machine_do_what_they_say(checkout, service):
    lines = lines_about(service)
    assert len(lines) == 4
    done = subprocess.run(
        ["sh", "-e", "-x", "-c", "\n".join(lines)],
        cwd=checkout,
        env={"PATH": os.environ["PATH"], "HOME": str(checkout)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    new = done.stdout.split()[0]
    assert done.stdout.splitlines()[1:3] == ["k1: nothing; may be dropped", f"{new} (primary): nothing"]
    assert SecretBox.from_file(checkout / ".myx" / "secrets" / f"{service}.keys").key_ids == {new}
