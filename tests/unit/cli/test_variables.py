"""Variables of plays from the command line."""

import pytest

from myx_cli.errors import UsageError
from myx_cli.variables import extra_vars, secret_vars


def test_later_ones_win_whatever_their_form(tmp_path):
    (tmp_path / "v.yml").write_text("color: red\nsize: 2\n")
    (tmp_path / "v.json").write_text('{"size": [3]}')
    given = ["color=blue", f"@{tmp_path}/v.yml", '{"shape": null}', f"@{tmp_path}/v.json", "text=a=b"]
    assert extra_vars(given) == {"color": "red", "size": [3], "shape": None, "text": "a=b"}


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("v.yml", "a: [1", "is not YAML: line 1"),
        ("v.yml", "a: 2026-99-99", "is not YAML"),
        ("v.yml", "a: 2026-01-31", "a holds no JSON (a date?): put it in quotes"),
        ("v.yml", "a: .nan", "a holds no JSON"),
        ("v.yml", "- a", "holds no mapping of names to values"),
        ("v.yml", "1: a", "holds no mapping of names to values"),
        ("v.json", "{", "is not JSON"),
        ("none.yml", None, "cannot be read: No such file or directory"),
    ],
)
def test_a_file_that_holds_no_variables_is_said(tmp_path, name, text, told):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(UsageError) as caught:
        extra_vars([f"@{tmp_path / name}"])
    assert caught.value.message.startswith(f"-e @{tmp_path / name}")
    assert told in caught.value.message


def test_a_secret_comes_from_a_file(tmp_path):
    (tmp_path / "pw").write_text("hidden-word\n")
    assert secret_vars([("password", str(tmp_path / "pw"))]) == {"password": "hidden-word"}
