from datetime import UTC, datetime
from uuid import UUID

import pytest

from myx_kit.errors import InvalidArgument
from myx_registry.domain.names import is_id
from myx_registry.domain.servers import (
    Server,
    ServerChange,
    ServerSpec,
    checked_address,
    checked_draft,
    checked_labels,
    checked_name,
)
from myx_registry.domain.texts import checked_request_id

T0 = datetime(2026, 1, 1, tzinfo=UTC)
T1 = datetime(2026, 1, 2, tzinfo=UTC)
ID = UUID("01936d2e-0000-7000-8000-0123456789ab")


def server(**spec: object) -> Server:
    values = {"name": "web-1", "address": "192.0.2.7", "labels": {"role": "web"}} | spec
    return Server(id=ID, spec=ServerSpec(**values), revision=1, created_at=T0, updated_at=T0)


@pytest.mark.parametrize("name", ["a", "local", "web-1", "0", "eu.web_1", "a" * 63, "a" * 32])
def test_legal_names_stay_as_they_are(name: str) -> None:
    assert checked_name(name) == name


@pytest.mark.parametrize("name", ["", "-a", ".a", "_a", "A", "web 1", "a" * 64, "ä", "a\n", "a/b", "a\0", "١"])
def test_illegal_names_are_refused_with_the_field_and_the_rule(name: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        checked_name(name)
    assert caught.value.reason == "SERVER_NAME_INVALID"
    assert caught.value.fields["field"] == "name"
    assert "63" in caught.value.message


def test_a_name_in_the_form_of_an_id_is_refused() -> None:
    assert is_id(str(ID))
    with pytest.raises(InvalidArgument, match="form of an id"):
        checked_name(str(ID))


@pytest.mark.parametrize(
    ("address", "normal"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("127.0.0.1", "127.0.0.1"),
        ("2001:DB8:0:0::7", "2001:db8::7"),
        ("Web-1.Example.ORG", "web-1.example.org"),
        (" host ", "host"),
        ("localhost", "localhost"),
        ("xn--mnchen-3ya.de", "xn--mnchen-3ya.de"),
    ],
)
def test_addresses_get_one_form(address: str, normal: str) -> None:
    assert checked_address(address) == normal


@pytest.mark.parametrize(
    "address",
    [
        *[
            "",
            " ",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "ff02::1",
            "255.255.255.255",
            "1.2.3.999",
            "1.2.3",
            "host:22",
            "[::1]",
        ],
        *["fe80::1%eth0", "https://x", "a b", "-a", "a..b", "a.", "münchen.de", "user@host", "a/b", "a" * 64, "a\0"],
        ".".join(["a" * 60] * 5),
    ],
)
def test_what_is_no_address_of_one_host_is_refused(address: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        checked_address(address)
    assert caught.value.reason == "ADDRESS_INVALID"
    assert caught.value.fields["field"] == "address"


def test_labels_follow_the_rules_of_kubernetes() -> None:
    labels = {"role": "web", "example.org/tier": "", "B_1": "x.y-z", "a" * 63: "b" * 63}
    assert checked_labels(labels) == labels
    assert list(checked_labels({"b": "1", "a": "2"})) == ["a", "b"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *[("", "x"), ("-a", "x"), ("a-", "x"), ("a" * 64, "x"), ("a b", "x"), ("/a", "x"), ("x/", "y"), ("a/b/c", "x")],
        *[("UPPER.example/a", "x"), ("a", "b" * 64), ("a", "-"), ("a", "b c"), ("a", "ä"), ("a", "b\n")],
    ],
)
def test_illegal_labels_are_refused_naming_the_key(key: str, value: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        checked_labels({key: value})
    assert caught.value.reason == "LABEL_INVALID"
    assert caught.value.fields == {"field": "labels", "key": key[:80]}


def test_the_number_of_labels_is_bounded() -> None:
    with pytest.raises(InvalidArgument, match="64 labels"):
        checked_labels({f"k{i}": "" for i in range(65)})


def test_equal_content_has_an_equal_digest_in_any_order_of_labels() -> None:
    one = checked_draft("a", "Host", {"x": "1", "y": "2"})
    assert one.digest() == checked_draft("a", "host", {"y": "2", "x": "1"}).digest()
    assert one.digest() != checked_draft("a", "host", {"y": "2"}).digest()


def test_request_ids_are_bounded_and_printable() -> None:
    assert checked_request_id("") is None
    assert checked_request_id("f" * 128) == "f" * 128
    for bad in ("f" * 129, "a b", "a\n", "ä", "a\0"):
        with pytest.raises(InvalidArgument, match="REQUEST_ID_INVALID"):
            checked_request_id(bad)


def test_a_change_advances_revision_etag_and_time() -> None:
    before = server()
    after = before.changed(ServerChange(address="192.0.2.8").apply(before.spec), T1)
    assert (after.revision, after.updated_at, after.spec.address) == (2, T1, "192.0.2.8")
    assert (after.spec.name, after.spec.labels) == (before.spec.name, before.spec.labels)
    assert after.etag != before.etag


def test_a_change_to_the_same_values_is_none() -> None:
    before = server()
    assert before.changed(ServerChange(address=" 192.0.2.7", labels={"role": "web"}).apply(before.spec), T1) is before


def test_labels_can_be_emptied() -> None:
    assert ServerChange(labels={}).apply(server().spec).labels == {}
