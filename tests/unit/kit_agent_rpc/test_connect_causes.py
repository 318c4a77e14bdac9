import errno

import pytest

from myx_kit.agent_rpc.errors import Cause
from myx_kit.agent_rpc.pool import _connect_cause


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (OSError(errno.ECONNREFUSED, "x"), Cause.REFUSED),
        (OSError(errno.ETIMEDOUT, "x"), Cause.FILTERED),
        (OSError(errno.EHOSTUNREACH, "x"), Cause.NO_ROUTE),
        (OSError(errno.ENETUNREACH, "x"), Cause.NO_ROUTE),
        (OSError(errno.ECONNRESET, "x"), Cause.TLS_FAILED),
        (ConnectionAbortedError(), Cause.TLS_FAILED),
        (OSError("Multiple exceptions: [Errno 101] unreachable, [Errno 111] Connect call failed"), Cause.REFUSED),
        (OSError("Multiple exceptions: [Errno 101] unreachable, [Errno 113] no route"), Cause.NO_ROUTE),
    ],
)
def test_an_error_of_connecting_has_its_place_on_the_ladder(error, cause):
    assert _connect_cause(error) is cause
