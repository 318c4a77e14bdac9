"""Host keys and private keys."""

import asyncio

import asyncssh

from myx_executor.adapters.ssh_errors import where
from myx_executor.domain.ssh import Hop, LoginRefused, ShownKey

# The order in which a host is asked for the key that belongs to a trusted fingerprint.
HOST_KEY_TYPES: tuple[tuple[str, ...], ...] = (
    ("ssh-ed25519",),
    ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
    ("rsa-sha2-512", "rsa-sha2-256"),
)
ALL_HOST_KEY_ALGORITHMS = [algorithm for kind in HOST_KEY_TYPES for algorithm in kind]


def fingerprint(public_key: str) -> str:
    """`SHA256:…` of an OpenSSH line. ValueError when it is none."""
    return asyncssh.import_public_key(public_key).get_fingerprint()


def shown(key: asyncssh.SSHKey) -> ShownKey:
    """A key as messages and the registry want it; no comment."""
    line = key.export_public_key("openssh").decode().split()
    return ShownKey(f"{line[0]} {line[1]}", key.get_fingerprint())


def algorithms_of(key: asyncssh.SSHKey) -> list[str]:
    """Under which names a host offers a key of this type."""
    name = key.get_algorithm()
    return ["rsa-sha2-512", "rsa-sha2-256"] if name == "ssh-rsa" else [name]


async def private_key(hop: Hop) -> asyncssh.SSHKey | None:
    """The login's key; deriving a key from a passphrase takes a while, so in a thread. LoginRefused."""
    if not hop.private_key:
        return None
    try:
        return await asyncio.to_thread(asyncssh.import_private_key, hop.private_key, hop.passphrase or None)
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError, ValueError) as error:
        if isinstance(error, asyncssh.KeyEncryptionError) or "passphrase" in str(error).lower():
            raise _wrong_passphrase(hop) from None
        raise LoginRefused(
            "SSH_KEY_INVALID",
            f"the private key for {where(hop)} cannot be read",
            "give an OpenSSH or PEM private key",
            host=hop.name,
        ) from None


def _wrong_passphrase(hop: Hop) -> LoginRefused:
    word = "wrong" if hop.passphrase else "missing"
    message = f"the passphrase of the private key for {where(hop)} is {word}"
    return LoginRefused("SSH_PASSPHRASE_WRONG", message, "give the key again with its passphrase", host=hop.name)
