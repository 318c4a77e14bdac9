"""The trace's id out of the header of a request."""

import pytest

from myx_agent.trace import note_trace, shown_trace_id

TRACE = "0af7651916cd43dd8448eb211c80319c"


def test_the_id_is_taken_from_the_header():
    note_trace(f"00-{TRACE}-b7ad6b7169203331-01".encode())
    assert shown_trace_id.get() == TRACE


@pytest.mark.parametrize(
    "header", [None, b"", b"x", b"00-" + TRACE.encode(), f"00-{TRACE}-b7ad6b7169203331-01\n".encode()]
)
def test_what_is_no_header_leaves_none(header):
    note_trace(f"00-{TRACE}-b7ad6b7169203331-01".encode())
    note_trace(header)
    assert shown_trace_id.get() == ""
