"""All open commands in numbers, for those who watch MyX itself."""

# ruff: noqa: S608 - statements are put together from literals only (LiteralString)

from collections.abc import Mapping
from dataclasses import dataclass
from typing import LiteralString

from myx_executor.models.commands import OPEN_STATUSES
from myx_executor.store.pool import Pool

_TOTALS: LiteralString = f"""
select status, count(*), count(*) filter (where lease_until is null or lease_until < now()) from executor.command
where status in {OPEN_STATUSES} group by status"""


@dataclass(frozen=True, slots=True)
class Totals:
    """Commands and deployments that are not final, by status; `unowned`: those that no replica works on."""

    by_status: Mapping[str, int]
    unowned: int


async def totals(pool: Pool) -> Totals:
    """Counted now."""
    rows = await pool.rows(_TOTALS)
    return Totals({row[0]: row[1] for row in rows}, sum(row[2] for row in rows))
