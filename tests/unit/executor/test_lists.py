"""Pages of a list fit one message, whatever its rows are."""

from uuid import UUID

import pytest
from executor_samples import command

from myx_executor.domain.command import CommandSpec
from myx_executor.usecases import lists
from myx_executor.usecases.lists import MAX_PAGE, newest_first


class Table:
    def __init__(self, count, size=1):
        spec = CommandSpec("true", ("x" * size,))
        self.rows = [command(id=UUID(int=number), spec=spec) for number in range(count, 0, -1)]
        self.most = 0

    async def read(self, limit, before):
        found = [row for row in self.rows if before is None or row.id < before][:limit]
        self.most = max(self.most, sum(len(row.spec.args[0]) for row in found))
        return found

    async def all(self, size):
        pages, token = [], ""
        while True:
            page, token = await newest_first(self.read, size, token)
            pages.append(list(page))
            if not token:
                return pages


@pytest.mark.parametrize("count", [0, 1, 19, 20, 21, 100, 101, 120, 121, 250])
@pytest.mark.parametrize("size", [1, 19, 20, 21, 100])
async def test_pages_hold_every_row_once_and_in_order(count, size):
    table = Table(count)
    pages = await table.all(size)
    assert [row for page in pages for row in page] == table.rows
    assert {len(page) for page in pages[:-1]} <= {size}


async def test_a_page_of_large_rows_ends_early_and_holds_few_of_them_in_memory(monkeypatch):
    table = Table(60, size=1 << 20)
    pages = await table.all(MAX_PAGE)
    assert [row for page in pages for row in page] == table.rows
    assert {len(page) for page in pages} == {2}
    assert table.most <= 20 << 20
    monkeypatch.setattr(lists, "_PAGE_LENGTH", 1)
    assert [len(page) for page in await Table(3).all(10)] == [1, 1, 1]
