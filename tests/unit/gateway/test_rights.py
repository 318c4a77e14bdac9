"""What follows from grants: the algebra of selectors, and what keeps it closed."""

import pytest

from myx_gateway.access.rights import Grant, Rights, Role, closed
from myx_kit.errors import InvalidArgument

V, O, A = Role.VIEWER, Role.OPERATOR, Role.ADMIN  # noqa: E741


def rights(*grants: tuple[Role, str], cap: tuple[Role, str] = (A, "all")) -> Rights:
    return Rights(tuple(Grant(*grant) for grant in grants), Grant(*cap))


@pytest.mark.parametrize(
    ("held", "role", "selector"),
    [
        (rights(), V, None),
        (rights((V, "all")), V, "all"),
        (rights((V, "all")), O, None),
        (rights((A, "env=a")), V, "env=a"),
        (rights((A, "env=a"), (O, "env=b")), O, "(env=a) or (env=b)"),
        (rights((A, "env=a"), (O, "env=b")), A, "env=a"),
        (rights((V, "all"), (O, "env=b")), V, "all"),
        (rights((A, "all"), cap=(O, "env=b")), A, None),
        (rights((A, "all"), cap=(O, "env=b")), O, "env=b"),
        (rights((A, "env=a"), cap=(A, "env=b")), A, "(env=a) and (env=b)"),
        (rights((A, "a"), (A, "b"), cap=(A, "c, d")), A, "((a) or (b)) and (c, d)"),
    ],
)
def test_a_role_is_held_where_a_grant_and_the_cap_say(held: Rights, role: Role, selector: str | None) -> None:
    assert held.selector(role) == selector
    assert held.everywhere(role) == (selector == "all")
    assert held.anywhere(role) == (selector is not None)


def test_a_selector_is_narrowed_to_where_the_role_is_held() -> None:
    assert rights((V, "all")).narrowed(V, "os=debian") == "os=debian"
    assert rights((V, "env=a")).narrowed(V, "os=debian or x") == "(env=a) and (os=debian or x)"
    assert rights((V, "env=a")).narrowed(O, "os=debian") is None


@pytest.mark.parametrize(
    "selector",
    ["a", "a, b", "(a or b)", "((a))", "a=')'", 'a="("', r"a='\')'", r'a="\\"', "", "x=')' and (b='(')"],
)
def test_what_is_whole_by_itself_may_be_put_in_parentheses(selector: str) -> None:
    assert closed(selector) == selector


@pytest.mark.parametrize(
    ("selector", "position"),
    [("a) or (b", 2), (")", 1), ("(a", 3), ("a='", 3), ('a="x', 3), ("a=')", 3), ("a='x') or ('", 6), (r"a='\'", 3)],
)
def test_what_would_end_the_parentheses_around_it_is_refused(selector: str, position: int) -> None:
    with pytest.raises(InvalidArgument) as caught:
        rights((V, "env=a")).narrowed(V, selector)
    assert caught.value.reason == "SELECTOR_INVALID"
    assert caught.value.fields["position"] == str(position)
    with pytest.raises(InvalidArgument):
        Grant(V, selector)
