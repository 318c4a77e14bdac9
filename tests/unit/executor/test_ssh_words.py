"""What sudo, sshd and hosts say, and what we make of it."""

import errno
import pickle
import socket

import asyncssh
import pytest

from myx_executor.adapters import preflight, preflight_script
from myx_executor.adapters.ssh import fingerprint
from myx_executor.adapters.ssh_errors import connect_failed, where
from myx_executor.adapters.ssh_root import Elevation, Means, refusal
from myx_executor.domain.ssh import Hop, HostKeyUnknown, LoginRefused, SshError

HOP = Hop("web-1", "192.0.2.7", 2222, "ops", password="s3cret-password")


@pytest.mark.parametrize(
    ("means", "words", "code", "reason"),
    [
        (Means.SUDO, "env: \u2018sudo\u2019: No such file or directory", 127, "SUDO_MISSING"),
        (Means.SUDO, "sh: 1: exec: sudo: not found", 127, "SUDO_MISSING"),
        (Means.SUDO, "sudo: a password is required", 1, "SUDO_PASSWORD_NEEDED"),
        (Means.SUDO, "sudo: interactive authentication is required", 1, "SUDO_PASSWORD_NEEDED"),
        (Means.SUDO, "sudo: sorry, you must have a tty to run sudo", 1, "SUDO_NEEDS_TTY"),
        (Means.SUDO, "Sorry, user ops is not allowed to execute '/bin/sh' as root on web.", 1, "SUDO_NOT_ALLOWED"),
        (Means.SUDO, "sudo: I'm sorry ops. I'm afraid I can't do that", 1, "SUDO_NOT_ALLOWED"),
        (Means.SUDO_PASSWORD, "ops is not in the sudoers file.", 1, "SUDO_NOT_ALLOWED"),
        (Means.SUDO_PASSWORD, "Sorry, try again.\nsudo: no password was provided", 1, "SUDO_PASSWORD_WRONG"),
        (Means.SUDO_PASSWORD, "sudo: 3 incorrect password attempts", 1, "SUDO_PASSWORD_WRONG"),
        (Means.SUDO_PASSWORD, "sudo: Authentication failed, try again.", 1, "SUDO_PASSWORD_WRONG"),
        (Means.SUDO, "sudo: effective uid is not 0, is sudo installed setuid root?", 1, "SUDO_FAILED"),
    ],
)
def test_words_of_sudo(means, words, code, reason):
    refused = refusal(HOP, Elevation(means, "s3cret-password"), words.encode(), code)
    assert refused.reason == reason
    assert refused.cure
    assert "web-1 (192.0.2.7:2222)" in refused.message
    assert "s3cret-password" not in refused.sentence + repr(Elevation(means, "s3cret-password"))


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (TimeoutError(), "timeout"),
        (socket.gaierror(-2, "x"), "dns"),
        (ConnectionRefusedError(), "refused"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "no_route"),
        (ConnectionResetError(), "closed"),
        (asyncssh.ConnectionLost("gone"), "closed"),
        (asyncssh.KeyExchangeFailed("no match"), "algorithms"),
        (asyncssh.ProtocolError("odd"), "not_ssh"),
        (asyncssh.ChannelOpenError(2, "Connection refused"), "refused"),
        (asyncssh.ChannelOpenError(2, "Connection timed out"), "timeout"),
        (asyncssh.ChannelOpenError(2, "No route to host"), "no_route"),
        (OSError(5, "odd"), "other"),
    ],
)
def test_causes_of_failed_connects(error, cause):
    failed = connect_failed(HOP, error)
    assert (failed.reason, failed.fields["cause"]) == ("SSH_UNREACHABLE", cause)
    assert failed.cure


def test_too_many_failures_are_a_refused_login():
    assert isinstance(
        connect_failed(HOP, asyncssh.DisconnectError(2, "Too many authentication failures")), LoginRefused
    )


def test_errors_stay_what_they_are_through_pickle():
    error = HostKeyUnknown("HOST_KEY_UNKNOWN", "message", "cure", fingerprint="SHA256:x")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.cure, again.fields, again.sentence) == (
        HostKeyUnknown,
        "cure",
        error.fields,
        "message; cure",
    )
    assert isinstance(again, SshError)


def test_places_and_fingerprints():
    assert where(Hop("192.0.2.7", "192.0.2.7")) == "192.0.2.7:22"
    assert where(Hop("six", "2001:db8::1")) == "six ([2001:db8::1]:22)"
    key = asyncssh.generate_private_key("ssh-ed25519")
    assert fingerprint(key.export_public_key("openssh").decode()) == key.get_fingerprint()
    with pytest.raises(ValueError):
        fingerprint("nonsense")


def test_the_best_python_that_is_whole_is_chosen():
    lines = ["python=3.15 whole /usr/bin/python3.15", "python=3.12 part /usr/bin/python3.12", "python="]
    lines += ["python=3.11 whole /usr/bin/python3.11", "python=3.9 whole /usr/bin/python3", "arch=arm64", "end=yes"]
    found = preflight_script.parsed("\n".join(lines))
    facts = preflight_script.facts(found, 0)
    assert (facts.python, facts.python_version, facts.arch) == ("/usr/bin/python3.11", "3.11", "aarch64")
    with pytest.raises(ValueError):
        preflight_script.parsed("arch=x86_64\n")


def test_musl_is_named():
    found = preflight_script.parsed("arch=x86_64\nlibc=/lib/ld-musl-x86_64.so.1\nend=yes")
    problems = preflight._machine(preflight_script.facts(found, 0), found)
    assert "musl" in next(problem for problem in problems if problem.reason == "LIBC_UNSUPPORTED").message


def test_who_answers_instead_of_the_host():
    (problem,) = preflight._verdict(b"HTTP/1.1", b"word", "192.0.2.7", 8123)
    assert problem.reason == "ADDRESS_WRONG"
    assert preflight._verdict(b"word", b"word", "192.0.2.7", 8123) == []
