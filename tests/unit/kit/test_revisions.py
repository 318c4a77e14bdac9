import importlib
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from myx_kit.db import revisions
from myx_kit.errors import Unavailable


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "versions").mkdir()
    for name in ("0001_items.py", "0002_names.py", "0010_more.py", "__init__.py", "notes_0099.py"):
        (tmp_path / "versions" / name).touch()
    return tmp_path


def test_the_newest_is_found_by_the_names_of_files(folder):
    assert revisions.newest(folder) == "0010"


@pytest.mark.parametrize(
    ("stored", "reason"), [(None, "SCHEMA_MISSING"), ("0001", "SCHEMA_OUTDATED"), ("0002", "SCHEMA_OUTDATED")]
)
def test_what_is_before_the_newest_has_to_be_migrated(folder, stored, reason):
    with pytest.raises(Unavailable, match="python -m myx_shop migrate") as caught:
        revisions.check("shop", stored, folder)
    assert caught.value.reason == reason


@pytest.mark.parametrize("stored", ["0010", "0011"])
def test_the_newest_will_do_and_what_a_newer_version_left(folder, stored):
    revisions.check("shop", stored, folder)


@pytest.mark.parametrize("service", ["registry", "heartbeat", "executor", "gateway"])
def test_alembic_means_the_same_by_the_newest(service):
    folder = Path(importlib.import_module(f"myx_{service}.migrations").__file__).parent
    config = Config()
    config.set_main_option("script_location", str(folder))
    config.set_main_option("version_locations", str(folder / "versions"))
    config.set_main_option("path_separator", "newline")
    script = ScriptDirectory.from_config(config)
    assert script.get_heads() == [revisions.newest(folder)]
    assert sorted(each.revision for each in script.walk_revisions()) == [
        path.name[:4] for path in sorted((folder / "versions").glob("0*.py"))
    ]
