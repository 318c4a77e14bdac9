"""Who gets in, and what is said to who does not."""

import asyncio
import socket
from dataclasses import replace

import asyncssh
import pytest
from executor_ssh_sshd import PASSWORD

from myx_executor.domain.ssh import (
    HostKeyChanged,
    HostKeyUnknown,
    HostUnreachable,
    LoginRefused,
    RootRefused,
    SudoMode,
    TrustedKey,
)
from myx_testkit.wait import until

OTHER = asyncssh.generate_private_key("ssh-ed25519")


def other_key():
    line = OTHER.export_public_key("openssh").decode().strip()
    return TrustedKey(OTHER.get_fingerprint(), line)


async def test_key_password_and_encrypted_key_get_in(connector, sshd):
    locked = {"private_key": (sshd.folder / "locked").read_text(), "passphrase": "open sesame"}
    password = {"private_key": "", "password": PASSWORD}
    for changes in ({}, locked, password):
        async with connector.session([sshd.hop(**changes)]) as session:
            assert (await session.run(["id", "-u"])).text == "0\n"
            assert session.is_root


async def test_sessions_are_gone_after_use(connector, sshd):
    async with connector.session([sshd.hop()]) as session:
        await session.run("true")
    await until(lambda: sshd.sessions() == 0)


async def test_wrong_password_and_key_are_named(connector, sshd):
    with pytest.raises(LoginRefused) as caught:
        await connector.connect([sshd.hop(private_key="", password="wrong")])
    assert caught.value.reason == "SSH_AUTH_FAILED"
    assert caught.value.fields["tried"] == "password"
    assert "wrong" not in str(caught.value.fields)
    stranger = OTHER.export_private_key("openssh").decode()
    with pytest.raises(LoginRefused) as caught:
        await connector.connect([sshd.hop(private_key=stranger)])
    assert caught.value.fields["tried"] == "key"
    assert "authorized_keys" in caught.value.cure


async def test_keys_that_cannot_be_used(connector, sshd):
    locked = (sshd.folder / "locked").read_text()
    for changes, reason in (
        ({"private_key": locked}, "SSH_PASSPHRASE_WRONG"),
        ({"private_key": locked, "passphrase": "no"}, "SSH_PASSPHRASE_WRONG"),
        ({"private_key": "nonsense"}, "SSH_KEY_INVALID"),
        ({"private_key": ""}, "SSH_CREDENTIAL_MISSING"),
    ):
        with pytest.raises(LoginRefused) as caught:
            await connector.connect([sshd.hop(**changes)])
        assert caught.value.reason == reason


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
async def test_any_type_of_host_key_by_key_or_fingerprint(connector, sshd, kind):
    heard = []

    async def on_new(hop, key):
        heard.append(key)

    async with connector.session([sshd.hop(host_key=sshd.trusted(kind))], on_new_host_key=on_new):
        assert heard == []
    only = TrustedKey(sshd.fingerprint(kind))
    async with connector.session([sshd.hop(host_key=only)], on_new_host_key=on_new):
        assert [key.public_key for key in heard] == [sshd.public(kind)]


async def test_unknown_host_key_is_told_and_nothing_is_sent(connector, sshd):
    before = sshd.log()
    with pytest.raises(HostKeyUnknown) as caught:
        await connector.connect([sshd.hop(host_key=None)])
    assert caught.value.fields["fingerprint"] == sshd.fingerprint()
    assert caught.value.fields["public_key"] == sshd.public()
    assert "Accepted" not in sshd.log()[len(before) :]


@pytest.mark.parametrize("whole", [True, False])
async def test_changed_host_key_shows_both(connector, sshd, whole):
    trusted = other_key() if whole else TrustedKey(other_key().fingerprint)
    before = sshd.log()
    with pytest.raises(HostKeyChanged) as caught:
        await connector.connect([sshd.hop(host_key=trusted, accept_new=True)])
    assert caught.value.fields["fingerprint"] == sshd.fingerprint()
    assert caught.value.fields["trusted_fingerprint"] == trusted.fingerprint
    assert "Accepted" not in sshd.log()[len(before) :]


async def test_a_host_that_lost_the_type_of_the_trusted_key(connector, own_sshd):
    own_sshd.key_types = ("rsa",)
    own_sshd.start()
    with pytest.raises(HostKeyChanged) as caught:
        await connector.connect([own_sshd.hop(host_key=own_sshd.trusted("ed25519"))])
    assert caught.value.fields["fingerprint"] == own_sshd.fingerprint("rsa")


async def test_first_contact_is_recorded_before_a_secret_is_sent(connector, sshd):
    before = sshd.log()
    seen = []

    async def on_new(hop, key):
        seen.append((hop.name, key.fingerprint))
        assert "Accepted" not in sshd.log()[len(before) :]

    hop = sshd.hop(host_key=None, accept_new=True)
    async with connector.session([hop], on_new_host_key=on_new):
        assert seen == [("box", sshd.fingerprint())]

    async def refuses(hop, key):
        raise ValueError("not stored")

    before = sshd.log()
    with pytest.raises(ValueError, match="not stored"):
        await connector.connect([hop], on_new_host_key=refuses)
    with pytest.raises(HostKeyUnknown):
        await connector.connect([hop])
    assert "Accepted" not in sshd.log()[len(before) :]


async def test_scan(connector, sshd):
    assert (await connector.scan_host_key([sshd.hop(host_key=None, private_key="")])).fingerprint == sshd.fingerprint()
    known = TrustedKey(sshd.fingerprint("rsa"))
    assert (await connector.scan_host_key([sshd.hop(host_key=known)])).fingerprint == known.fingerprint
    assert (await connector.scan_host_key([sshd.hop(host_key=other_key())])).fingerprint == sshd.fingerprint()


async def test_through_jump_hosts_each_with_its_own_policy(connector, sshd, own_sshd):
    own_sshd.start()
    jump = own_sshd.hop("plain")
    target = sshd.hop()
    async with connector.session([jump, jump, target]) as session:
        assert (await session.run(["id", "-u"])).text == "0\n"
    with pytest.raises(HostKeyChanged) as caught:
        await connector.connect([jump, replace(target, host_key=other_key())])
    assert caught.value.fields["host"] == "box"
    with pytest.raises(HostKeyUnknown):
        await connector.connect([replace(jump, host_key=None), target])
    assert (await connector.scan_host_key([jump, target])).fingerprint == sshd.fingerprint()
    with pytest.raises(HostUnreachable) as failed:
        await connector.connect([jump, replace(target, port=1)])
    assert failed.value.fields["cause"] == "refused"
    await until(lambda: own_sshd.sessions() == 0)


async def test_unreachable_has_its_cause(sshd):
    from myx_executor.adapters.ssh import SshConnector

    connector = SshConnector(connect_timeout_s=1, login_timeout_s=1)

    async def cause(**changes):
        with pytest.raises(HostUnreachable) as caught:
            await connector.connect([sshd.hop(**changes)])
        assert caught.value.cure
        return caught.value.fields["cause"]

    assert await cause(port=1) == "refused"
    assert await cause(address="no-such-host.invalid") == "dns"

    async def nothing(reader, writer):
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(nothing, "127.0.0.1", 0)
    assert await cause(port=silent.sockets[0].getsockname()[1]) == "timeout"

    async def http(reader, writer):
        writer.write(b"HTTP/1.0 400 Bad Request\r\n\r\n" * 2000)
        writer.close()

    web = await asyncio.start_server(http, "127.0.0.1", 0)
    assert await cause(port=web.sockets[0].getsockname()[1]) in {"not_ssh", "closed"}
    silent.close()
    web.close()
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        assert await cause(port=full.getsockname()[1]) == "refused"


async def test_root_by_sudo(connector, sshd):
    async def uid(**changes):
        async with connector.session([sshd.hop(**changes)]) as session:
            return (await session.run(["id", "-u"], stdin=b"data")).text

    assert await uid(user="nopass") == "0\n"
    assert await uid(user="withpass", sudo_password=PASSWORD) == "0\n"
    assert await uid(user="withpass", private_key="", password=PASSWORD) == "0\n"
    assert await uid(user="root", sudo=SudoMode.ALWAYS) == "0\n"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"user": "withpass"}, "SUDO_PASSWORD_NEEDED"),
        ({"user": "withpass", "sudo_password": "wrong"}, "SUDO_PASSWORD_WRONG"),
        ({"user": "plain", "sudo_password": PASSWORD}, "SUDO_NOT_ALLOWED"),
        ({"user": "tty"}, "SUDO_NEEDS_TTY"),
        ({"user": "nopass", "sudo": SudoMode.NEVER}, "ROOT_NEEDED"),
    ],
)
async def test_sudo_that_refuses(connector, sshd, changes, reason):
    with pytest.raises(RootRefused) as caught:
        await connector.connect([sshd.hop(**changes)])
    assert caught.value.reason == reason
    assert caught.value.cure
    assert PASSWORD not in str(caught.value)
    async with connector.session([sshd.hop(**changes)], need_root=False) as session:
        assert (await session.run(["id", "-un"], as_root=False)).text == f"{changes['user']}\n"


async def test_no_sudo_there(connector, own_sshd):
    own_sshd.start()
    (own_sshd.folder / "home/nopass/.profile").write_text("")
    own_sshd.stop()
    own_sshd.options = f"SetEnv PATH={own_sshd.folder}/bin"
    (own_sshd.folder / "bin").mkdir()
    for name in ("env", "sh", "id"):
        (own_sshd.folder / "bin" / name).symlink_to(f"/usr/bin/{name}")
    own_sshd.start()
    with pytest.raises(RootRefused) as caught:
        await connector.connect([own_sshd.hop("nopass")])
    assert caught.value.reason == "SUDO_MISSING"
