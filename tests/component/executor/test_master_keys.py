"""A rotated master key: the executor seals everything again while it runs, and the old key may go."""

import subprocess
import sys

import psycopg
import pytest

from myx.executor.v1 import command_pb2 as pb
from myx_testkit.wait import until_sync


@pytest.fixture
def verbs():
    def call(executor, *arguments):
        argv = [sys.executable, "-m", "myx_executor", *arguments]
        done = subprocess.run(argv, env=executor.environment, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout + done.stderr

    return call


async def test_after_a_rotation_all_is_sealed_again_and_what_waits_still_opens(replica, agent, postgres, verbs):
    one, other = replica("one", "other", max_active_commands=1)
    async with one.client() as client, other.client() as stranger:
        blockers = [await each.run(agent.name, "sleep", "60") for each in (client, stranger)]
        for blocker in blockers:
            await client.running(blocker.id)
        # Its secrets lie sealed until it is sent.
        waiting = await client.shell(agent.name, 'echo "$SECRET" | tr a-z A-Z', secret_env={"SECRET": "hidden"})
        for number in range(40):
            await client.run(agent.name, "true", request_id=f"r{number}", queue_timeout={"seconds": 3600})
        assert "k1 (primary): 41 in command" in verbs(one, "check-keys")[1]
        code, said = verbs(one, "rotate-master-key")
        assert code == 0
        new = said.split()[0]

        def all_is_sealed_again():
            return f"{new} (primary): 41 in command" in verbs(one, "check-keys")[1]

        until_sync(all_is_sealed_again, 60)
        nothing_was_lost(postgres)
        assert verbs(one, "rotate-master-key", "--drop", "k1")[0] == 0
        # The same request again: its digest is compared.
        again = await client.run(agent.name, "true", request_id="r7", queue_timeout={"seconds": 3600})
        assert again.status == pb.COMMAND_STATUS_PENDING
        for each, blocker in zip((client, stranger), blockers, strict=True):
            await each.cancel(blocker.id, grace_s=0)
        log = await client.log(waiting.id)
    assert log.data == b"HIDDEN\n"


def nothing_was_lost(postgres):
    """Every digest is still there."""
    with psycopg.connect(postgres.url) as connection:
        row = connection.execute(
            "select count(*) from executor.command where sealed_request_digest is not null"
        ).fetchone()
    assert row[0] == 40


def test_what_cannot_be_done_with_keys_is_one_sentence(replica, verbs):
    one = replica("one")
    code, said = verbs(one, "rotate-master-key", "--use", "k99")
    assert code == 1
    assert len(said.splitlines()) == 1
    assert verbs(one, "rotate-master-key", "--add-only")[0] == 0
    assert verbs(one, "check-keys")[1].count("\n") == 2
