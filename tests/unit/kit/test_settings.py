import os

import pytest
from pydantic import ValidationError
from pydantic_settings import SettingsConfigDict

from myx_kit.settings import DatabaseSettings, MasterKeySettings, NatsSettings, RpcServerSettings

GOOD = {"MYX_SHOP_TLS_DIR": "/tls", "MYX_SHOP_DATABASE_URL_FILE": "/url"}


class ShopSettings(RpcServerSettings, DatabaseSettings, NatsSettings):
    model_config = SettingsConfigDict(env_prefix="MYX_SHOP_")


class WholeShopSettings(ShopSettings, MasterKeySettings):
    model_config = SettingsConfigDict(env_prefix="MYX_SHOP_")


class ShopKeySettings(MasterKeySettings):
    model_config = SettingsConfigDict(env_prefix="MYX_SHOP_")


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in list(os.environ):
        if name.startswith("MYX_"):
            monkeypatch.delenv(name)
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def refused(capsys):
    with pytest.raises(SystemExit) as caught:
        ShopSettings.load()
    assert caught.value.code == 2
    return capsys.readouterr().err.splitlines()


def test_what_is_needed_is_enough_and_the_rest_has_defaults():
    settings = ShopSettings.load()
    assert str(settings.tls_dir) == "/tls"
    assert (settings.listen, settings.pool_size, settings.http_listen) == ("127.0.0.1:0", 8, "")
    assert settings.nats_url == "tls://127.0.0.1:4222"


def test_other_teams_programs_are_named_with_how_far_they_go(environment):
    assert ShopSettings.load().clients() == {}
    environment.setenv("MYX_SHOP_RPC_CLIENTS", "reports=read ci.team-a=run")
    assert ShopSettings.load().clients() == {"reports": "read", "ci.team-a": "run"}


def test_settings_do_not_change():
    settings = ShopSettings.load()
    with pytest.raises(ValidationError):
        settings.pool_size = 3


def test_a_missing_variable_is_one_line_with_its_name(environment, capsys):
    environment.delenv("MYX_SHOP_TLS_DIR")
    assert refused(capsys) == ["MYX_SHOP_TLS_DIR: is required"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LISTEN", "8080"),
        ("LISTEN", ":8080"),
        ("LISTEN", "h:99999"),
        ("LISTEN", ""),
        ("HTTP_LISTEN", "x"),
        ("POOL_SIZE", "0"),
        ("RPC_CLIENTS", "reports"),
        ("RPC_CLIENTS", "reports=admin"),
        ("RPC_CLIENTS", "reports=read,ci=run"),
        ("RPC_CLIENTS", "gateway=run"),
        ("POOL_SIZE", "many"),
        ("DRAIN_S", "-1"),
        ("NATS_URL", "nats://127.0.0.1:4222"),
        ("LOG_LEVEL", "loud"),
    ],
)
def test_a_bad_variable_is_one_line_with_its_name(environment, capsys, name, value):
    environment.setenv(f"MYX_SHOP_{name}", value)
    lines = refused(capsys)
    assert len(lines) == 1
    assert lines[0].startswith(f"MYX_SHOP_{name}: ")


def test_all_bad_variables_are_named_at_once_and_values_are_not_shown(environment, capsys):
    environment.setenv("MYX_SHOP_POOL_SIZE", "hunter2")
    environment.setenv("MYX_SHOP_LISTEN", "hunter2")
    lines = refused(capsys)
    assert len(lines) == 2
    assert "hunter2" not in "".join(lines)


def test_a_misspelt_variable_is_refused_and_those_of_others_are_not(environment, capsys):
    environment.setenv("MYX_OTHER_LISTEN", "x")
    ShopSettings.load()
    environment.setenv("MYX_SHOP_LISTN", "127.0.0.1:1")
    assert refused(capsys) == ["MYX_SHOP_LISTN: no such setting"]


def test_the_database_url_comes_from_a_private_file(environment, tmp_path):
    path = tmp_path / "url"
    path.write_text("postgresql://h/x\n")
    path.chmod(0o600)
    environment.setenv("MYX_SHOP_DATABASE_URL_FILE", str(path))
    assert ShopSettings.load().database_url() == "postgresql://h/x"


def test_a_verb_needs_its_own_settings_alone_and_knows_the_others(environment, capsys):
    environment.setenv("MYX_SHOP_MASTER_KEY_FILE", "/keys")
    assert str(ShopKeySettings.load(WholeShopSettings).master_key_file) == "/keys"
    environment.delenv("MYX_SHOP_TLS_DIR")
    assert str(ShopKeySettings.load(WholeShopSettings).master_key_file) == "/keys"
    environment.setenv("MYX_SHOP_LISTN", "127.0.0.1:1")
    with pytest.raises(SystemExit):
        ShopKeySettings.load(WholeShopSettings)
    assert capsys.readouterr().err.splitlines() == ["MYX_SHOP_LISTN: no such setting"]
