from datetime import UTC, datetime

import pytest

from myx_kit.errors import FailedPrecondition, InvalidArgument
from myx_registry.domain.host_keys import HostKey, checked_fingerprint, recognise, shown_key, trust

T0 = datetime(2026, 1, 1, tzinfo=UTC)
T1 = datetime(2026, 1, 2, tzinfo=UTC)
# ssh-keygen -lf of this line.
LINE = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"


def known(fingerprint: str, public_key: str = "") -> HostKey:
    return HostKey(fingerprint, public_key, T0, "token:admin", "fingerprint")


def see(trusted: HostKey | None, line: str = LINE, *, accept_new: bool = False) -> HostKey:
    return recognise(trusted, shown_key(line), accept_new=accept_new, by="myx", now=T1, server="web-1")


def test_a_fingerprint_is_taken_with_and_without_padding() -> None:
    fingerprint = shown_key(LINE).fingerprint
    assert checked_fingerprint(f" {fingerprint}=\n", "f") == fingerprint
    assert len(fingerprint) == 50


def test_a_comment_is_no_part_of_a_key() -> None:
    assert shown_key(f"{LINE} root@web-1 and more") == shown_key(LINE)
    assert shown_key(LINE).public_key == LINE


@pytest.mark.parametrize(
    "line", ["", "ssh-ed25519", f"x {LINE}", LINE.replace("C3Nz", "C3N"), "ssh-rsa " + LINE.split()[1]]
)
def test_what_is_no_key_is_refused(line: str) -> None:
    with pytest.raises(InvalidArgument, match="HOST_KEY_INVALID"):
        shown_key(line)


def test_without_trust_the_first_key_is_taken_only_where_accepted() -> None:
    assert see(None, accept_new=True).how == "first_contact"
    with pytest.raises(FailedPrecondition, match="HOST_KEY_UNKNOWN"):
        see(None)


def test_a_changed_key_is_refused_even_where_new_ones_are_accepted() -> None:
    for accept_new in (True, False):
        with pytest.raises(FailedPrecondition, match="HOST_KEY_CHANGED"):
            see(known("SHA256:" + "A" * 43), accept_new=accept_new)


def test_a_seen_key_completes_what_was_trusted_and_changes_nothing_else() -> None:
    fingerprint = shown_key(LINE).fingerprint
    seen = see(known(fingerprint))
    assert seen == known(fingerprint, LINE)
    assert see(seen) is seen


def test_trusting_the_same_key_again_changes_nothing() -> None:
    before = known("SHA256:" + "A" * 43)
    assert trust(before, before.fingerprint, "token:other", T1, "accepted") is before
    assert trust(before, "SHA256:" + "B" * 42 + "A", "token:other", T1, "accepted").accepted_at == T1
