"""Errors on their way out."""

import json

import pytest

from myx_gateway.problems import STATUS_OF_CODE, body_of, response_for
from myx_kit.errors import Code, Internal, InvalidArgument, Unauthenticated, Unavailable


def test_every_code_has_a_status() -> None:
    assert set(STATUS_OF_CODE) == set(Code)


def test_the_body_is_a_problem() -> None:
    body = json.loads(body_of(InvalidArgument("TIMEOUT_INVALID", "must be 0 or more", timeout_s="-1"), "r1"))
    assert body == {
        "type": "urn:myx:problem:timeout_invalid",
        "title": "Bad Request",
        "status": 400,
        "detail": "must be 0 or more",
        "reason": "TIMEOUT_INVALID",
        "fields": {"timeout_s": "-1"},
        "request_id": "r1",
    }


def test_a_field_that_a_service_names_is_named_as_the_interface_calls_it() -> None:
    error = InvalidArgument("TIMEOUT_INVALID", "must be 0 or more", field="timeout", limit="9")
    assert json.loads(body_of(error, "r1"))["fields"] == {"limit": "9", "timeout_s": "must be 0 or more"}


def test_an_internal_error_keeps_its_text_to_itself() -> None:
    body = body_of(Internal("DATABASE", "password hunter2", table="keys"), "r1").decode()
    assert "hunter2" not in body
    assert "keys" not in body


@pytest.mark.parametrize(
    ("error", "header", "value"),
    [
        (Unauthenticated("UNAUTHENTICATED", "x"), "WWW-Authenticate", 'Bearer realm="myx"'),
        (Unavailable("SERVICE_UNAVAILABLE", "x"), "Retry-After", "1"),
    ],
)
def test_a_problem_says_what_the_client_should_do(error: Exception, header: str, value: str) -> None:
    assert response_for(error, "r1").headers[header] == value  # type: ignore[arg-type]
