"""How a login becomes root: one wrapper around every command, and what sudo's words mean."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from myx_executor.adapters.ssh_end import MARK_VARIABLE
from myx_executor.adapters.ssh_errors import where
from myx_executor.domain.ssh import Hop, RemoteFailed, RootRefused
from myx_executor.domain.text import clean

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Says on both streams where the command's own output begins, and in which process group it runs.
_PRELUDE = (
    f"n=$1;shift;PATH=$PATH:{_PATH};LC_ALL=C.UTF-8;export PATH LC_ALL;"
    'cd "$HOME" 2>/dev/null||cd /;read -r _ _ _ _ g _ </proc/$$/stat||g=0;'
    'echo "$n";echo "$n $g" >&2;'
)
# A password that sudo did not ask for must not reach the command.
_SKIP_TO_MARK = 'while IFS= read -r l&&[ "$l" != "$n" ];do :;done;unset l;'
_EXEC = f'export {MARK_VARIABLE}="$n";unset n g;exec "$@"'


class Means(Enum):
    """What stands between the login and root."""

    NONE = "none"
    IS_ROOT = "is root"
    SUDO = "sudo"
    SUDO_PASSWORD = "sudo with a password"  # noqa: S105 - a name


@dataclass(frozen=True, slots=True)
class Elevation:
    """A way to run commands."""

    means: Means
    password: str = field(default="", repr=False)

    def command_line(self, argv: Sequence[str], mark: str) -> str:
        """What the login's shell gets."""
        script = _PRELUDE + (_SKIP_TO_MARK if self.means is Means.SUDO_PASSWORD else "") + _EXEC
        inner = shlex.join(["/bin/sh", "-c", script, "sh", mark, *argv])
        match self.means:
            case Means.SUDO:
                return f"exec env LC_ALL=C sudo -k -n -H -- {inner}"
            case Means.SUDO_PASSWORD:
                return f"exec env LC_ALL=C sudo -k -S -H -p '' -- {inner}"
            case _:
                return f"exec {inner}"


_NEEDS_PASSWORD = re.compile(
    r"a password is required|terminal is required to read|authentication is required|no password was provided",
    re.IGNORECASE,
)
_WRONG_PASSWORD = re.compile(r"try again|incorrect (password|authentication) attempt", re.IGNORECASE)
_NOT_ALLOWED = re.compile(
    r"not in the sudoers|may not run sudo|is not allowed to|not allowed to (run|execute)|can't do that", re.IGNORECASE
)
_NEEDS_TTY = re.compile(r"must have a tty|no tty present", re.IGNORECASE)
_NO_SUDO = re.compile(r"sudo.*(not found|no such file)", re.IGNORECASE)


def asks_again(stderr: bytes) -> bool:
    """Whether sudo has refused the password."""
    return _WRONG_PASSWORD.search(stderr.decode(errors="replace")) is not None


def refusal(hop: Hop, elevation: Elevation, stderr: bytes, code: int | None) -> RootRefused:
    """What sudo's words mean."""
    words = clean(stderr.decode(errors="replace")).strip()[-500:]
    user, place = hop.user, where(hop)
    if _NO_SUDO.search(words) or (code == 127 and "sudo" in words):
        return _refused(hop, "SUDO_MISSING", f"there is no sudo on {place}", "install sudo there, or log in as root")
    if _NEEDS_TTY.search(words):
        return _refused(
            hop,
            "SUDO_NEEDS_TTY",
            f"sudo on {place} wants a terminal",
            f"add 'Defaults:{user} !requiretty' to its sudoers: MyX works without a terminal",
        )
    if _NOT_ALLOWED.search(words):
        return _refused(
            hop,
            "SUDO_NOT_ALLOWED",
            f"{user} may not become root by sudo on {place}",
            f"add '{user} ALL=(ALL) ALL' to its sudoers, or log in as another user",
        )
    if elevation.means is Means.SUDO_PASSWORD and (_WRONG_PASSWORD.search(words) or _NEEDS_PASSWORD.search(words)):
        return _refused(
            hop, "SUDO_PASSWORD_WRONG", f"sudo on {place} refuses the password of {user}", "correct the sudo password"
        )
    if _NEEDS_PASSWORD.search(words):
        return _refused(
            hop,
            "SUDO_PASSWORD_NEEDED",
            f"sudo on {place} wants a password of {user}, and none is stored",
            f"store a sudo password in the credential, or allow '{user} ALL=(ALL) NOPASSWD: ALL'",
        )
    return _refused(
        hop, "SUDO_FAILED", f"sudo on {place} failed: {words or f'exit code {code}'}", "see whether sudo works there"
    )


def no_shell(hop: Hop, stderr: bytes) -> RemoteFailed:
    """The login's shell ran nothing."""
    words = clean(stderr.decode(errors="replace")).strip()[-500:]
    return RemoteFailed(
        "SSH_COMMAND_FAILED",
        f"{where(hop)} runs no commands for {hop.user}: {words or 'its login shell ended at once'}",
        "give the login a usual shell, and no forced command",
        user=hop.user,
        host=hop.name,
    )


def root_needed(hop: Hop) -> RootRefused:
    """For logins that may not use sudo."""
    return _refused(
        hop, "ROOT_NEEDED", f"{hop.user} is not root on {where(hop)}", "log in as root, or let this login use sudo"
    )


def _refused(hop: Hop, reason: str, message: str, cure: str) -> RootRefused:
    return RootRefused(reason, message, cure, user=hop.user, host=hop.name)
