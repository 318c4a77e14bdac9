"""The lines of docs/operations/keys.md for `make up`, typed as they stand there."""

import os
import subprocess
import sys

import pytest

from myx_kit.files import write_private
from myx_kit.secretbox import SecretBox
from myx_standalone.home import Home
from myx_testkit.pages import lines_of, typed, with_programs


@pytest.fixture
def checkout(tmp_path, postgres):
    """A folder with `.venv` and with `.myx` as `make up` leaves it."""
    with_programs(tmp_path)
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
    lines = [line for line in lines_of("operations/keys.md", "On one machine") if service in line]
    assert len(lines) == 4
    said = typed(lines, checkout).splitlines()
    new = said[0].split()[0]
    assert said[1:3] == ["k1: nothing; may be dropped", f"{new} (primary): nothing"]
    assert SecretBox.from_file(checkout / ".myx" / "secrets" / f"{service}.keys").key_ids == {new}
