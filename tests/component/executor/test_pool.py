"""Connections of the executor: what a replica has locked when it is stopped does not stay locked."""

from myx_executor.store.pool import Pool

TAKE = "select pg_advisory_xact_lock(1)"


async def test_a_lock_of_who_is_stopped_in_a_transaction_is_free_before_others_give_up_waiting(postgres):
    stopped, other = Pool(postgres.url, 1), Pool(postgres.url, 1)
    async with stopped._connection() as connection:
        await connection.execute("begin")
        await connection.execute(TAKE)
        assert len(await other.rows(TAKE)) == 1
        await connection.close()
    await other.close()
