"""Uploads: small ones with the command that installs them, larger ones by SFTP, which can go on after a break."""

import asyncio
import hashlib
import io
import posixpath
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import asyncssh

from myx_executor.adapters.ssh_errors import lost, where
from myx_executor.domain.ssh import RemoteFailed, RunResult, SshError
from myx_executor.domain.text import clean

if TYPE_CHECKING:
    from myx_executor.adapters.ssh_session import SshSession

# The subsystem is not there, or ends at once.
_NO_SFTP = (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection, asyncssh.SFTPEOFError)
_SMALL = 128 * 1024
_BLOCK = 1 << 20
_DIGEST_DIFFERS = 9
_SAME = b"same\n"

# Arguments of both: target, digest, mode, and the uploaded file (empty: standard input).
_LOOK = (
    'umask 022;mkdir -p "$(dirname "$1")"||exit 1;'
    'if [ -f "$1" ]&&[ "$(sha256sum <"$1"|cut -d" " -f1)" = "$2" ];'
    'then chmod "$3" "$1"&&chown 0:0 "$1"&&touch "$1"&&echo same;fi'
)
_INSTALL = (
    'set -e;umask 022;mkdir -p "$(dirname "$1")";umask 077;t="$1.myx-$(echo "$2"|cut -c1-12)";'
    'case "$4" in "") cat >"$t";; "$t") ;; *) cat <"$4" >"$t";; esac;'
    f'[ "$(sha256sum <"$t"|cut -d" " -f1)" = "$2" ]||{{ rm -f "$t";exit {_DIGEST_DIFFERS}; }};'
    'chown 0:0 "$t";chmod "$3" "$t";mv -f "$t" "$1"'
)


class Upload:
    """One file on its way to a host."""

    def __init__(self, session: "SshSession", source: bytes | Path, remote: str, mode: int) -> None:
        if not posixpath.isabs(remote) or posixpath.normpath(remote) != remote:
            raise ValueError(f"{remote} is not a plain absolute path")
        self._session = session
        self._source = source
        self._remote = remote
        self._mode = f"{mode:o}"
        self._digest = ""
        self._size = 0

    async def run(self) -> None:
        """Ends when the file is in its place."""
        self._digest, self._size = await asyncio.to_thread(_measured, self._source)
        if self._size <= _SMALL:
            data = self._source if isinstance(self._source, bytes) else await asyncio.to_thread(self._source.read_bytes)
            self._installed(await self._script(_INSTALL, "", data))
            return
        look = await self._script(_LOOK, "")
        self._installed(look)
        if look.stdout == _SAME:
            return
        for last in (False, True):
            result = await self._sent()
            if result.code != _DIGEST_DIFFERS or last:
                self._installed(result)
                return

    async def _sent(self) -> RunResult:
        """By SFTP into a place of the login's user, from there as root."""
        try:
            async with self._session.sftp() as sftp:
                part = await self._place(sftp)
                await self._copy(sftp, part)
        except (asyncssh.Error, OSError) as error:
            if isinstance(error, asyncssh.SFTPError) and not isinstance(error, _NO_SFTP):
                raise self._failed(error.reason or str(error)) from None
            if self._session.closed:
                raise lost(self._session.hop) from None
            return await self._streamed()
        result = await self._script(_INSTALL, part)
        if not self._session.is_root:
            await self._session.run(["rm", "-rf", "--", posixpath.dirname(part)], as_root=False)
        return result

    async def _place(self, sftp: asyncssh.SFTPClient) -> str:
        """Root uploads beside the target; others into a folder that nobody else can enter."""
        if self._session.is_root:
            return f"{self._remote}.myx-{self._digest[:12]}"
        for parent in (await sftp.realpath("."), "/tmp"):  # noqa: S108 - the folder is private
            folder = posixpath.join(str(parent), f".myx-upload-{self._digest[:24]}")
            with suppress(asyncssh.SFTPError):
                if await _private(sftp, folder):
                    return posixpath.join(folder, "part")
        raise self._failed(f"{self._session.hop.user} has no place for an upload")

    async def _copy(self, sftp: asyncssh.SFTPClient, part: str) -> None:
        offset = await _size_of(sftp, part)
        if offset > self._size:
            offset = 0
        flags = asyncssh.FXF_WRITE | asyncssh.FXF_CREAT | (0 if offset else asyncssh.FXF_TRUNC)
        source = await asyncio.to_thread(_opened, self._source)
        try:
            async with sftp.open(part, flags, asyncssh.SFTPAttrs(permissions=0o600), encoding=None) as file:
                await asyncio.to_thread(source.seek, offset)
                while block := await asyncio.to_thread(source.read, _BLOCK):
                    await file.write(block, offset)
                    offset += len(block)
        finally:
            source.close()

    async def _streamed(self) -> RunResult:
        """For hosts without SFTP."""
        data = self._source if isinstance(self._source, bytes) else await asyncio.to_thread(self._source.read_bytes)
        return await self._script(_INSTALL, "", data)

    async def _script(self, script: str, part: str, stdin: bytes = b"") -> RunResult:
        argv = ["/bin/sh", "-c", script, "sh", self._remote, self._digest, self._mode, part]
        return await self._session.run(argv, stdin=stdin, timeout_s=600)

    def _installed(self, result: RunResult) -> None:
        if result.code == _DIGEST_DIFFERS:
            raise self._failed("what arrived is not what was sent")
        if result.code != 0:
            raise self._failed(result.stderr.decode(errors="replace").strip() or f"exit code {result.code}")

    def _failed(self, words: str) -> SshError:
        hop = self._session.hop
        cure = "see whether the file system is full or read-only, then run it again"
        return RemoteFailed(
            "SSH_UPLOAD_FAILED",
            f"{self._remote} cannot be put on {where(hop)}: {clean(words)[-500:]}",
            cure,
            host=hop.name,
        )


async def _private(sftp: asyncssh.SFTPClient, folder: str) -> bool:
    """Makes the folder, or finds it as it was made before: ours, entered by nobody else."""
    with suppress(asyncssh.SFTPError):
        await sftp.mkdir(folder, asyncssh.SFTPAttrs(permissions=0o700))
    attrs = await sftp.lstat(folder)
    mode = attrs.permissions or 0
    return stat.S_ISDIR(mode) and stat.S_IMODE(mode) == 0o700


async def _size_of(sftp: asyncssh.SFTPClient, path: str) -> int:
    try:
        attrs = await sftp.lstat(path)
    except asyncssh.SFTPNoSuchFile:
        return 0
    if not stat.S_ISREG(attrs.permissions or 0):
        await sftp.remove(path)
        return 0
    return attrs.size or 0


def _measured(source: bytes | Path) -> tuple[str, int]:
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest(), len(source)
    with source.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), source.stat().st_size


def _opened(source: bytes | Path) -> BinaryIO:
    return io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")
