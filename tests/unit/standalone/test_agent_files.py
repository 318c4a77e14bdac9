import json
from pathlib import Path

import pytest

from myx_standalone.agent_files import agent_places, as_text, follow_the_home
from myx_standalone.home import Home


def test_the_agents_configuration_follows_a_moved_home(tmp_path: Path) -> None:
    home = Home(tmp_path / "one")
    home.prepare()
    follow_the_home(home)
    assert not home.agent_config.exists()
    home.agent_config.write_text(as_text({"rpc_port": 1, **agent_places(home)}))
    before = home.agent_config.stat()
    follow_the_home(home)
    assert home.agent_config.stat() == before
    home.path.rename(tmp_path / "two")
    moved = Home(tmp_path / "two")
    follow_the_home(moved)
    configuration = json.loads(moved.agent_config.read_text())
    assert configuration == {"rpc_port": 1, **agent_places(moved)}
    assert str(home.path) + "/" not in moved.agent_config.read_text()


@pytest.mark.parametrize("damage", ["", "{", "[]"])
def test_a_damaged_configuration_is_removed(tmp_path: Path, damage: str) -> None:
    home = Home(tmp_path)
    home.prepare()
    home.agent_config.write_text(damage)
    follow_the_home(home)
    assert not home.agent_config.exists()
