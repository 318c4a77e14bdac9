"""Rights made of many selectors: whoever has them can use them, or they are not given."""

import secrets

import pytest

from myx_testkit.rest import Refused, Rest
from myx_testkit.standalone import Standalone


def grants_of(count: int) -> list[dict[str, str]]:
    """Grants of three terms each; the last one matches."""
    narrow = [f"customer=c{number:02} and env=prod and role=web" for number in range(count - 1)]
    return [{"role": "operator", "selector": selector} for selector in [*narrow, "name=local and not env=x"]]


def test_rights_that_fit_into_no_selector_are_not_given(myx: Standalone) -> None:
    rest = Rest(myx.port, myx.home.token)
    user = {"name": f"p-{secrets.token_hex(4)}", "kind": "program"}
    with pytest.raises(Refused, match="too long together") as refused:
        rest.post("/users", {**user, "grants": grants_of(50)})
    assert (refused.value.status, set(refused.value.problem["fields"])) == (400, {"grants"})
    long = [
        {"role": "viewer", "selector": f"name in ({', '.join(f'server-{n}-{m}' for m in range(250))})"} for n in "ab"
    ]
    rest.post("/users", {**user, "grants": long[:1]})
    with pytest.raises(Refused, match="too long together"):
        rest.patch(f"/users/{user['name']}", {"grants": long})
    token = {"name": "t", "user": user["name"], "selector": " or ".join(f"a{number}=1" for number in range(134))}
    with pytest.raises(Refused, match="too long together") as refused:
        rest.post("/tokens", token)
    assert set(refused.value.problem["fields"]) == {"selector"}


def test_many_rights_work_with_a_narrowed_token_and_a_long_question(myx: Standalone) -> None:
    rest = Rest(myx.port, myx.home.token)
    name = f"p-{secrets.token_hex(4)}"
    rest.post("/users", {"name": name, "kind": "program", "grants": grants_of(44)})
    cap = " or ".join(["name=local", *(f"a{number}=1" for number in range(132))])
    theirs = Rest(
        myx.port, rest.post("/tokens", {"name": "t", "user": name, "selector": cap, "role": "operator"})["token"]
    )
    question = " or ".join(["name=local", *(f"b{number}=1" for number in range(130))])
    assert [server["name"] for server in theirs.get("/servers")["items"]] == ["local"]
    job = theirs.post("/jobs", {"selector": question, "work": {"command": {"command": "true"}}})
    assert [one["server_name"] for one in theirs.get(f"/jobs/{job['id']}/targets")["items"]] == ["local"]
