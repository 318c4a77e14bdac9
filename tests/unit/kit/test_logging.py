import json
import logging

import pytest
import structlog

from myx_kit.logging import DROPPED, configure, configure_default, drop_secrets


@pytest.fixture(autouse=True)
def restore():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    configure_default()
    root.handlers[:], root.level = handlers, level


def lines(capsys):
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_line_is_json_with_name_level_time_and_service(capsys):
    configure("registry", "info", "json")
    structlog.get_logger().info("agent_offline", agent_id="a")
    (line,) = lines(capsys)
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "agent_offline", "level": "info", "service": "registry", "agent_id": "a"}


def test_levels_below_the_set_one_are_silent(capsys):
    configure("registry", "warning", "json")
    structlog.get_logger().info("quiet")
    logging.getLogger("x").info("quiet")
    assert lines(capsys) == []


def test_the_standard_librarys_logs_take_the_same_form_and_lose_their_secrets(capsys):
    configure("registry", "info", "json")
    logging.getLogger("some.library").warning("connect to %s", "postgresql://u:hunter2@h/x")
    (line,) = lines(capsys)
    assert line["event"] == f"connect to postgresql://u:{DROPPED}@h/x"
    assert line["service"] == "registry"


def test_an_exception_is_logged_with_its_traceback_and_without_passwords_of_urls(capsys):
    configure("registry", "info", "json")
    try:
        raise ValueError("tls://u:hunter2@h")
    except ValueError as error:
        structlog.get_logger().error("failed", exc_info=error)
    (line,) = lines(capsys)
    assert "Traceback" in line["exception"]
    assert "hunter2" not in line["exception"]


@pytest.mark.parametrize(
    "key",
    [
        "token",
        "agent_token",
        "X-Agent-Token",
        "secret_key",
        "password",
        "PASSWD",
        "private_key",
        "authorization",
        "Authorization",
        "dsn",
        "database_url",
        "cookie",
        "api_key",
        "rpc_path",
        "X-Agent-Signature",
        "master_key",
    ],
)
def test_values_under_secret_looking_keys_are_dropped_at_any_depth(key):
    event = drop_secrets(None, "info", {key: "hunter2", "deep": {"list": [{key: "hunter2"}]}})
    assert "hunter2" not in str(event)


@pytest.mark.parametrize("key", ["page_token", "fencing_token", "event", "message", "command_id"])
def test_harmless_keys_stay(key):
    assert drop_secrets(None, "info", {key: "value"}) == {key: "value"}


def test_console_form_shows_tracebacks_without_local_variables(capsys):
    configure("registry", "info", "console")
    try:
        hidden = "hunter2"
        raise ValueError(len(hidden))
    except ValueError as error:
        structlog.get_logger().error("failed", exc_info=error)
        logging.getLogger("x").error("failed", exc_info=error)
    text = capsys.readouterr().err
    assert text.count("Traceback") == 2
    assert "'hunter2'" not in text


def test_console_form_is_for_people(capsys):
    configure("registry", "info", "console")
    structlog.get_logger().info("agent_offline", token="hunter2")
    text = capsys.readouterr().err
    assert "agent_offline" in text
    assert "hunter2" not in text


def test_before_it_is_configured_it_is_as_discreet(capsys):
    configure_default()
    try:
        hidden = "hunter2"
        raise ValueError(len(hidden))
    except ValueError as error:
        structlog.get_logger().error("failed", token="letmein", exc_info=error)
    captured = capsys.readouterr()
    assert "failed" in captured.err
    assert "'hunter2'" not in captured.err
    assert "letmein" not in captured.err
    assert captured.out == ""
