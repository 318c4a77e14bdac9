"""Starting a command, deployment or job: once, however often the answer is lost."""

from myx_cli.api import Client, Document
from myx_cli.errors import INTERRUPTED, ApiError, Failure, Unreachable
from myx_cli.servers import unknown_server
from myx_cli.session import Session

FIRST_CONTACT_S = 10.0


def post_patiently(
    client: Client, session: Session, content: Document, key: str, path: str = "", *, told: str = ""
) -> Document:
    """POST to the session's noun (or `path`) with one idempotency key, again and again while MyX is away.

    `told` is what else is to be said when there is no such server.
    """
    noun = session.noun
    patience = session.patience()
    maybe_sent = False
    cause: Unreachable | ApiError
    while True:
        if not maybe_sent:
            end_if_asked(session)
        try:
            return client.post(path or noun.path, content, idempotency_key=key)
        except Unreachable as error:
            maybe_sent = maybe_sent or error.maybe_sent
            cause, final = error, error.permanent
        except ApiError as error:
            if error.reason == "SERVER_NOT_FOUND":
                raise unknown_server(error, told) from None
            cause, final = error, not error.temporary
        if not maybe_sent:
            end_if_asked(session)
        limit_s = patience.limit_s if maybe_sent else min(FIRST_CONTACT_S, patience.limit_s)
        if final or not patience.pause(cause.message, limit_s):
            if not maybe_sent or isinstance(cause, ApiError):
                raise cause
            raise Failure(f"{cause.message}; whether the {noun.word} was started says: {noun.list}")


def end_if_asked(session: Session) -> None:
    """Failure when Ctrl-C was pressed; for as long as nothing was sent."""
    if session.asked_to_end:
        raise Failure("interrupted; nothing was started", INTERRUPTED)
