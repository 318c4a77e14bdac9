import pickle

import pytest

from myx_kit.errors import Code, MyxError, NotFound, error_for


@pytest.mark.parametrize("code", list(Code))
def test_every_code_has_its_error(code):
    error = error_for(code, "REASON", "message", {"key": "value"})
    assert (error.code, error.reason, error.message, error.fields) == (code, "REASON", "message", {"key": "value"})


def test_fields_may_have_any_name():
    error = NotFound("R", "m", reason="r", message="m2", self_="s")
    assert (error.reason, error.message) == ("R", "m")
    assert error.fields == {"reason": "r", "message": "m2", "self_": "s"}


def test_an_error_survives_the_way_to_another_process():
    error = pickle.loads(pickle.dumps(NotFound("R", "m", field="f")))
    assert isinstance(error, NotFound)
    assert str(error) == "R: m"
    assert error.fields == {"field": "f"}


def test_all_are_of_one_family():
    assert isinstance(NotFound("R", "m"), MyxError)
