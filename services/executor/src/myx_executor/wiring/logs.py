"""Reading logs: following and searching."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from functools import partial

from myx_executor.store.commands import CommandStore
from myx_executor.store.logs import LogStore
from myx_executor.usecases.search_log import SearchLog

# They hold the interpreter's lock for short times only; more of them would only take turns.
_THREADS = 2


def search_log(commands: CommandStore, logs: LogStore, stack: AsyncExitStack) -> SearchLog:
    """SearchLog with threads of its own, which end when the stack is closed."""
    pool = ThreadPoolExecutor(_THREADS, "search")
    stack.callback(partial(pool.shutdown, wait=False, cancel_futures=True))
    return SearchLog(commands, logs, pool)
