"""What a selector's text means, and what is said of one that means nothing."""

import string
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myx_kit.errors import InvalidArgument
from myx_registry.domain.selector import (
    FACTS,
    OF_SERVERS,
    All,
    And,
    Attribute,
    Compare,
    Exists,
    In,
    Like,
    Not,
    Or,
    Source,
)
from myx_registry.domain.selector_parser import MAX_DEPTH, MAX_LENGTH, MAX_TERMS, parse

ENV, ROLE = Attribute(Source.LABEL, "env"), Attribute(Source.LABEL, "role")
PROD, WEB = In(ENV, ("prod",)), In(ROLE, ("web",))
NAME, OS, CPUS = OF_SERVERS["name"], FACTS["os"], FACTS["cpus"]


def test_the_example_of_the_documentation():
    assert parse("env=prod and role in (web,api) and os=debian and not name=db1") == And(
        (PROD, In(ROLE, ("web", "api")), In(OS, ("debian",)), Not(In(NAME, ("db1",))))
    )


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("all", All()),
        ("ALL", All()),
        ("env=prod", PROD),
        ("env == prod", PROD),
        ("env='prod'", PROD),
        ('env="prod"', PROD),
        ("env!=prod", Not(PROD)),
        ("not env=prod", Not(PROD)),
        ("!env=prod", Not(PROD)),
        ("env in (prod)", PROD),
        ("env notin (prod, test)", Not(In(ENV, ("prod", "test")))),
        ("env NOT IN (prod)", Not(PROD)),
        ("env", Exists(ENV)),
        ("!env", Not(Exists(ENV))),
        ("env=", None),
        ("env=''", In(ENV, ("",))),
        ("env=prod,role=web", And((PROD, WEB))),
        ("env=prod AND role=web", And((PROD, WEB))),
        ("env=prod or role=web and env", Or((PROD, And((WEB, Exists(ENV)))))),
        ("(env=prod or role=web) and env", And((Or((PROD, WEB)), Exists(ENV)))),
        ("(env=prod or role=web), env", And((Or((PROD, WEB)), Exists(ENV)))),
        ("not (env=prod, role=web)", Not(And((PROD, WEB)))),
        ("example.org/team=a", In(Attribute(Source.LABEL, "example.org/team"), ("a",))),
        ("label.os=debian", In(Attribute(Source.LABEL, "os"), ("debian",))),
        ("label.and=x", In(Attribute(Source.LABEL, "and"), ("x",))),
        ("label.fact.os", Exists(Attribute(Source.LABEL, "fact.os"))),
        ("fact.os=debian", In(OS, ("debian",))),
        ("os", Exists(OS)),
        ("python=3", In(Attribute(Source.LABEL, "python"), ("3",))),
        ("kernel='6.1 ☃ \\'\"'", In(FACTS["kernel"], ("6.1 ☃ '\"",))),
        ("name ~ web*", Like(NAME, "web*")),
        ("name!~'web-?'", Not(Like(NAME, "web-?"))),
        ("cpus >= 4", Compare(CPUS, ">=", Decimal(4))),
        ("fact.load_1m<0.5", Compare(FACTS["load_1m"], "<", Decimal("0.5"))),
        ("cpus=4", Compare(CPUS, "=", Decimal(4))),
        ("cpus!=4", Not(Compare(CPUS, "=", Decimal(4)))),
        ("cpus in (4, 8)", Or((Compare(CPUS, "=", Decimal(4)), Compare(CPUS, "=", Decimal(8))))),
        ("status in (online,none)", In(OF_SERVERS["status"], ("online", "none"))),
        ("address=2001:DB8:0::7", In(OF_SERVERS["address"], ("2001:db8::7",))),
    ],
)
def test_each_form_has_one_meaning(text, tree):
    if tree is None:
        with pytest.raises(InvalidArgument):
            parse(text)
    else:
        assert parse(text) == tree


@pytest.mark.parametrize(
    ("text", "position", "expected"),
    [
        ("", 1, "a key"),
        ("   ", 4, "a key"),
        ("env=", 5, "a value"),
        ("env=prod and", 13, "a key"),
        ("env=prod role=web", 10, "'and', 'or', ',' or the end"),
        ("env=prod)", 9, "'and', 'or', ',' or the end"),
        ("(env=prod", 10, "')'"),
        ("()", 2, "a key"),
        ("env in ()", 9, "a value"),
        ("env in prod", 8, "'(' and a list of values"),
        ("env in (prod", 13, "',' or ')'"),
        ("env in (a b)", 11, "',' or ')'"),
        ("env='prod", 10, "the closing ' of character 5"),
        ("env='pr\\od'", 9, "a quote or \\"),
        ("env='a\nb'", 7, "a character that can be shown"),
        ("env=‘prod’", 5, "put other characters in quotes"),
        ("env=a\0", 6, "put other characters in quotes"),
        ("env=prod & role=web", 10, "put other characters in quotes"),
        ("env=prod or role=web, env", 10, "parentheses around 'or' beside a comma"),
        ("env, env=prod or role=web", 15, "parentheses around 'or' beside a comma"),
        ("name=web*", 6, "'~' compares with a pattern"),
        ("name=DB1", 6, "a server's name"),
        ("name", 5, "an operator: every server has name"),
        ("id=web", 4, "the id of a server"),
        ("id ~ 'a*'", 4, "another operator"),
        ("status=on", 8, "one of online, offline"),
        ("address='a b'", 9, "a host name or an IP address"),
        ("env='a b'", 5, "a value that a label can have"),
        ("-env=a", 1, "a label's key"),
        ("fact.colour=red", 1, "a fact: arch,"),
        ("env > 3", 5, "env is no number"),
        ("cpus >= many", 9, "a number"),
        ("cpus ~ 4", 6, "cpus has no patterns"),
        ("cpus > 1e9", 8, "a number"),
        ("'env'=prod", 1, "a key"),
        ("and=x", 1, "a key"),
        ("all=x", 4, "label.all"),
        ("not", 4, "a key"),
    ],
)
def test_an_error_tells_where_and_what_was_expected(text, position, expected):
    with pytest.raises(InvalidArgument) as caught:
        parse(text)
    error = caught.value
    assert (error.reason, error.fields["field"], error.fields["position"]) == (
        "SELECTOR_INVALID",
        "selector",
        str(position),
    )
    assert expected in error.fields["expected"]
    assert error.fields["expected"] in error.message


def test_a_long_text_is_refused_before_it_is_read():
    with pytest.raises(InvalidArgument, match=f"at most {MAX_LENGTH} characters"):
        parse("a" * (MAX_LENGTH + 1))


@pytest.mark.parametrize("level", ["(", "!", "not ", "not("])
def test_depth_has_a_limit(level):
    levels = (MAX_DEPTH + 1) if level != "not(" else MAX_DEPTH // 2 + 1
    with pytest.raises(InvalidArgument, match=f"at most {MAX_DEPTH} levels"):
        parse(level * levels + "env" + ")" * level.count("(") * levels)
    levels = MAX_DEPTH if level != "not(" else MAX_DEPTH // 2
    parse(level * levels + "env" + ")" * level.count("(") * levels)


PIECES = ["env", "=", "!=", "~", "(", ")", ",", "in", "notin", "not", "and", "or", "!", "'", "\\", "cpus", ">=", "4"]


@given(st.one_of(st.text(st.characters(codec=None), max_size=60), st.lists(st.sampled_from(PIECES)).map(" ".join)))
def test_any_text_has_a_tree_or_an_error_with_a_place(text):
    error = None
    try:
        parse(text)
    except InvalidArgument as caught:
        error = caught
    if error is not None:
        assert error.reason == "SELECTOR_INVALID"
        assert 1 <= int(error.fields["position"]) <= len(text) + 1


@given(st.text(string.printable + "äß☃\u2028", max_size=20).filter(lambda text: text.isprintable()))
def test_any_printable_text_can_be_quoted(text):
    quoted = text.replace("\\", "\\\\").replace("'", "\\'")
    assert parse(f"kernel = '{quoted}'") == In(FACTS["kernel"], (text,))


@pytest.mark.parametrize("joint", [",", " and ", " or "])
def test_terms_are_bounded_and_values_are_none(joint):
    parse(joint.join(["a"] * MAX_TERMS))
    with pytest.raises(InvalidArgument, match=f"at most {MAX_TERMS} terms") as error:
        parse(joint.join(["a"] * (MAX_TERMS + 1)))
    assert error.value.fields["position"] == str((1 + len(joint)) * MAX_TERMS + 1)
    parse(f"a in ({','.join(['b'] * 1000)})")
