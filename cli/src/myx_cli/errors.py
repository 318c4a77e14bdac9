"""Why `myx` ends without the exit code of a remote command, and the exit codes themselves (docs/cli.md)."""

OK = 0
DIFFERENT_FAILURES = 1
USAGE = 2
TIMED_OUT = 124
MYX_FAILED = 125
SIGNAL_BASE = 128
INTERRUPTED = 130
BROKEN_PIPE = 141


class Failure(Exception):
    """Ends `myx` with one sentence on stderr; `exit_code` is the process's."""

    def __init__(self, message: str, exit_code: int = MYX_FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code


class UsageError(Failure):
    """The command line is not one that `myx` understands (exit code 2)."""

    def __init__(self, message: str) -> None:
        super().__init__(message, USAGE)


class OutputError(Failure):
    """Our own stdout or stderr takes no more, for another reason than that its reader left."""


class Unreachable(Failure):
    """No answer came from MyX.

    `maybe_sent` tells whether the request may have arrived, `permanent` whether trying again is pointless.
    """

    def __init__(self, message: str, *, maybe_sent: bool, permanent: bool = False) -> None:
        super().__init__(message)
        self.maybe_sent = maybe_sent
        self.permanent = permanent

    def in_doubt(self) -> "Unreachable":
        """The same of a change that nobody should repeat unseen."""
        message = f"{self.message}; it is not known whether MyX did it"
        return Unreachable(message, maybe_sent=self.maybe_sent, permanent=self.permanent)


class ApiError(Failure):
    """MyX answered with an error; `status` and `reason` as in its problem document (RFC 9457).

    A request that MyX does not take as it stands came from a wrong command line.
    """

    def __init__(self, message: str, *, status: int, reason: str = "") -> None:
        super().__init__(message, USAGE if status in {400, 422} else MYX_FAILED)
        self.status = status
        self.reason = reason

    @property
    def temporary(self) -> bool:
        """Whether the same request may succeed a moment later."""
        return self.status in {429, 502, 503, 504}
