"""Which stream a byte of the interleaved log belongs to: one fixed record wherever the stream changes.

A record is 8 bytes, little endian: first offset * 4 + stream (1 stdout, 2 stderr). Records are in offset order.
"""

import os
import struct

RECORD = struct.Struct("<Q")
_PIECE = 8192 * RECORD.size


def pack(offset: int, stream: int) -> bytes:
    return RECORD.pack(offset << 2 | stream)


def record_count(index_fd: int) -> int:
    return os.fstat(index_fd).st_size // RECORD.size


def read_record(index_fd: int, number: int) -> tuple[int, int]:
    """(first offset, stream) of one record. Raises IndexError beyond the end."""
    data = os.pread(index_fd, RECORD.size, number * RECORD.size)
    if len(data) < RECORD.size:
        raise IndexError(number)
    value: int = RECORD.unpack(data)[0]
    return value >> 2, value & 3


def find_run(index_fd: int, offset: int) -> int:
    """The number of the record whose run holds `offset`; -1 when there is none."""
    low, high = 0, record_count(index_fd)
    while low < high:
        middle = (low + high) // 2
        if read_record(index_fd, middle)[0] <= offset:
            low = middle + 1
        else:
            high = middle
    return low - 1


def stream_sizes(index_fd: int, log_size: int) -> list[int]:
    """How many bytes of a log each of the streams 0 to 3 has; 0 and 3 have some when the index is damaged."""
    sizes = [0, 0, 0, 0]
    start = stream = position = 0
    while piece := os.pread(index_fd, _PIECE, position):
        position += len(piece)
        for (value,) in RECORD.iter_unpack(piece[: len(piece) - len(piece) % RECORD.size]):
            end = min(value >> 2, log_size)
            sizes[stream] += end - start
            start, stream = end, value & 3
    sizes[stream] += log_size - start
    return sizes


def has_whole_ends(index_fd: int, log_size: int) -> bool:
    """The first record begins the log, and the last one is no hole: a glance at an index too long to be read."""
    count = record_count(index_fd)
    if not count:
        return not log_size
    start, stream = read_record(index_fd, 0)
    return start == 0 and {stream, read_record(index_fd, count - 1)[1]} <= {1, 2}


def truncate_to(index_fd: int, log_size: int) -> int:
    """Drop records that point at or beyond `log_size` and a torn last one. Returns how many are left."""
    count = record_count(index_fd)
    while count and read_record(index_fd, count - 1)[0] >= log_size:
        count -= 1
    os.ftruncate(index_fd, count * RECORD.size)
    return count
