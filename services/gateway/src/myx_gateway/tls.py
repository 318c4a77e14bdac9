"""TLS at the door: the certificate, and how it is renewed without a restart."""

import ssl
from pathlib import Path
from typing import Final

from myx_kit.errors import FailedPrecondition
from myx_kit.files import read_private
from myx_kit.logging import get_logger
from myx_kit.loops import Loop, TaskOwner

log = get_logger()

_LOOK_S: Final = 5.0


def read_certificate(certificate: Path, key: Path) -> ssl.SSLContext:
    """A context that shows this certificate; FailedPrecondition `TLS_FILES_UNUSABLE` when it cannot be had."""
    read_private(key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    _load(context, certificate, key)
    return context


def supervised_certificate(certificate: Path | None, key: Path | None, owner: TaskOwner) -> ssl.SSLContext | None:
    """The context of the door, looked after from now on; None when it speaks no TLS itself."""
    if certificate is None or key is None:
        return None
    shown = Certificate(certificate, key)
    owner.start(Loop("certificate", _LOOK_S, shown.look).run(), name="certificate")
    return shown.context


class Certificate:
    """The certificate that new connections see; read again when its files have changed."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self._files = (certificate, key)
        self._seen = self._state()
        self.context = read_certificate(certificate, key)

    async def look(self) -> None:
        """Take what the files hold now, if they have changed and fit together; else the old ones stay."""
        state = self._state()
        if state == self._seen:
            return
        try:
            # Into another context first: half a pair would break every new connection.
            read_certificate(*self._files)
            _load(self.context, *self._files)
        except FailedPrecondition as error:
            log.error("certificate_not_taken", reason=error.reason, why=error.message)
        else:
            log.info("certificate_taken")
        self._seen = state

    def _state(self) -> list[tuple[int, int, int]]:
        states = []
        for file in self._files:
            try:
                found = file.stat()
            except OSError:
                states.append((0, 0, 0))
            else:
                states.append((found.st_mtime_ns, found.st_size, found.st_ino))
        return states


def _load(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    try:
        # Never a prompt on the terminal for a key that is locked.
        context.load_cert_chain(certificate, key, password=lambda: b"")
    except (OSError, ValueError) as error:
        why = getattr(error, "reason", "") or getattr(error, "strerror", "") or type(error).__name__
        text = f"{certificate} and {key} are no certificate with its key: {why}"
        raise FailedPrecondition("TLS_FILES_UNUSABLE", text) from None
