"""Master keys change while the registry runs."""

import asyncio
import json
from collections import Counter
from contextlib import AsyncExitStack
from functools import partial

import psycopg
import pytest
import pytest_asyncio

from myx.registry.v1 import agent_service_pb2 as pb
from myx.registry.v1.credential_pb2 import CredentialSecret
from myx.registry.v1.server_pb2 import SshSettings
from myx_kit.db.engine import create_engine
from myx_kit.db.unit_of_work import UnitOfWork
from myx_kit.errors import FailedPrecondition
from myx_kit.files import write_private
from myx_kit.key_watch import KeyWatch
from myx_kit.master_keys import add_key, drop_key, use_key
from myx_kit.secretbox import SecretBox
from myx_registry import app, key_verbs
from myx_registry.usecases.resealing import Resealing
from myx_testkit.ports import free_port
from myx_testkit.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def uow(registry):
    engine = create_engine(registry.database.url, 4)
    yield UnitOfWork(engine)
    await engine.dispose()


async def counts(registry, uow) -> dict[str, Counter[str]]:
    return dict(await Resealing(uow, SecretBox.from_file(registry.settings.master_key_file)).counts())


MOVE = partial(pb.ReallocateAgentRequest, new_path=True)


async def fill(registry, count: int) -> list[str]:
    """Names of servers with everything that is sealed: own credential, request digest, agent, rotation and move."""
    names = []
    for _ in range(count):
        own = CredentialSecret(password="own")
        made = await registry.create(own_credential=own, request_id=registry.new_name("r"))
        await registry.allocate(made.name)
        await registry.client("executor").agents.BeginRotation(pb.BeginRotationRequest(server=made.name))
        await registry.client("executor").agents.ReallocateAgent(MOVE(server=made.name))
        names.append(made.name)
    await registry.create_credential(password="named", request_id=registry.new_name("r"))
    return names


async def everything(registry, names: list[str]) -> list[object]:
    """All that is secret about the servers, opened."""
    found: list[object] = []
    for name in names:
        rotation = pb.BeginRotationRequest(server=name)
        found += [
            await registry.way(name),
            await registry.allocate(name),
            await registry.client("executor").agents.BeginRotation(rotation),
            await registry.client("executor").agents.ReallocateAgent(MOVE(server=name)),
        ]
    return found


async def is_sealed_with(registry, uow, key_id: str) -> bool:
    return set(await counts(registry, uow)) == {key_id}


async def test_a_running_registry_seals_all_again_under_a_new_key(registry, uow) -> None:
    names = await fill(registry, 3)
    before = await everything(registry, names)
    tables = (await counts(registry, uow)).popitem()[1]
    assert set(tables) == {"agent", "credential", "server"}
    key_id = add_key(registry.settings.master_key_file)
    await until(lambda: is_sealed_with(registry, uow, key_id), 20)
    assert (await counts(registry, uow))[key_id] == tables
    assert await everything(registry, names) == before
    drop_key(registry.settings.master_key_file, "k1")
    async with AsyncExitStack() as stack:
        again = registry.settings.model_copy(update={"listen": f"127.0.0.1:{free_port()}"})
        await app.start(again, stack)
    assert await everything(registry, names) == before


async def test_no_write_is_lost_or_refused_while_all_is_sealed_again(registry, uow) -> None:
    names = await fill(registry, 6)
    identities: dict[str, str] = {}
    stop = asyncio.Event()

    async def write(name: str) -> None:
        agents = registry.client("executor").agents
        number = 0
        while not stop.is_set():
            number += 1
            upcoming = await agents.BeginRotation(pb.BeginRotationRequest(server=name))
            request = pb.CommitRotationRequest(server=name, rotation_id=upcoming.rotation_id)
            await agents.CommitRotation(request)
            identities[name] = upcoming.agent_token
            secret = CredentialSecret(password=f"own {number}")
            await registry.update(name, "own_credential", own_credential=secret)
            assert (await registry.way(name))[0].secret == secret
            assert (await registry.endpoint(name)).agent_token == upcoming.agent_token

    async def rotate_keys() -> None:
        box = SecretBox.from_file(registry.settings.master_key_file)
        watch = KeyWatch(box, Resealing(uow, box, batch_rows=2).run)
        for _ in range(4):
            key_id = add_key(registry.settings.master_key_file)
            async with asyncio.timeout(30):
                while not await is_sealed_with(registry, uow, key_id):
                    watch._due_at = 0.0
                    await watch.run_once()
                    await asyncio.sleep(0)
        stop.set()

    async with asyncio.TaskGroup() as group:
        for name in names:
            group.create_task(write(name))
        group.create_task(rotate_keys())
    for name in names:
        assert (await registry.endpoint(name)).agent_token == identities[name]


async def test_rows_that_somebody_holds_are_sealed_later_and_nobody_waits(registry, uow) -> None:
    names = await fill(registry, 2)
    path = registry.settings.master_key_file
    box = SecretBox.from_file(path)
    resealing = Resealing(uow, box)
    with psycopg.connect(registry.database.url) as connection:
        held = connection.execute(
            "select a.id from registry.agent a join registry.server s on s.id = a.server_id where s.name = %s"
            " for update of a",
            [names[0]],
        ).fetchone()
        assert held is not None
        key_id = add_key(path)
        box.reload()
        async with asyncio.timeout(5):
            # The agent's four values, three of the next identity, the next path; the registry itself seals beside us.
            while await resealing.run() != 8:
                pass
        connection.rollback()
    await until(lambda: is_sealed_with(registry, uow, key_id), 20)


async def test_a_bad_file_leaves_the_keys_in_force_and_is_told_once(registry, uow, tmp_path, capfd) -> None:
    path = tmp_path / "master.json"
    write_private(path, registry.settings.master_key_file.read_text())
    box = SecretBox.from_file(path)
    watch = KeyWatch(box, Resealing(uow, box).run)
    path.write_text("nonsense")
    for _ in range(3):
        await watch.run_once()
    assert capfd.readouterr().err.count(f"{path} is not a master key file") == 1
    assert box.open(box.seal(b"x", table="t", column="c", row="r"), table="t", column="c", row="r") == b"x"
    path.unlink()
    await watch.run_once()
    assert capfd.readouterr().err.count(f"cannot read {path}") == 1
    write_private(path, registry.settings.master_key_file.read_text())
    key_id = add_key(path)
    box_of_all = SecretBox.from_file(path)
    try:
        await watch.run_once()
        assert box.primary == key_id
    finally:
        write_private(registry.settings.master_key_file, path.read_text())
    await until(lambda: _left(uow, box_of_all, 0), 20)


async def test_a_damaged_value_is_told_and_stops_nothing(registry, uow, capfd) -> None:
    (damaged,) = await fill(registry, 1)
    path = registry.settings.master_key_file
    with psycopg.connect(registry.database.url) as connection:
        before = connection.execute(
            "select c.id, c.sealed_secret from registry.credential c join registry.server s on s.id = c.server_id"
            " where s.name = %s",
            [damaged],
        ).fetchone()
        assert before is not None
        broken = before[1][:-1] + bytes([before[1][-1] ^ 1])
        connection.execute("update registry.credential set sealed_secret = %s where id = %s", [broken, before[0]])
        connection.commit()
        box = SecretBox.from_file(path)
        key_id = add_key(path)
        box.reload()
        await until(lambda: _left(uow, box, 1), 20)
        told = capfd.readouterr().err
        assert str(before[0]) in told
        connection.execute("delete from registry.credential where id = %s", [before[0]])
        connection.commit()
    await until(lambda: is_sealed_with(registry, uow, key_id), 20)


async def _left(uow, box: SecretBox, count: int) -> bool:
    return await Resealing(uow, box).run() == count


async def test_operators_see_what_is_sealed_with_which_key(registry, uow) -> None:
    await fill(registry, 1)
    path = registry.settings.master_key_file
    old = SecretBox.from_file(path).primary
    told = key_verbs.add(registry.settings, primary=False)
    staged = told.split()[0]
    assert f"--use {staged}" in told
    lines = await key_verbs.report(registry.settings)
    assert f"{staged}: nothing; may be dropped" in lines
    assert any(line.startswith(f"{old} (primary): ") and " in agent" in line for line in lines)
    with pytest.raises(FailedPrecondition, match="MASTER_KEY_IN_USE"):
        await key_verbs.drop(registry.settings, old)
    key_verbs.use(registry.settings, staged)
    await until(lambda: is_sealed_with(registry, uow, staged), 20)
    assert f"{old}: nothing; may be dropped" in await key_verbs.report(registry.settings)
    await key_verbs.drop(registry.settings, old)
    assert old not in SecretBox.from_file(path).key_ids


async def test_a_key_that_is_missing_at_start_is_named(registry, uow, tmp_path) -> None:
    await fill(registry, 1)
    path = registry.settings.master_key_file
    primary = SecretBox.from_file(path).primary
    document = json.loads(path.read_text())
    lone = tmp_path / "master.json"
    SecretBox.create_file(lone, "other")
    settings = registry.settings.model_copy(update={"master_key_file": lone, "listen": f"127.0.0.1:{free_port()}"})
    async with AsyncExitStack() as stack:
        with pytest.raises(FailedPrecondition, match=primary):
            await app.start(settings, stack)
    assert any("NOT IN THE FILE" in line for line in await key_verbs.report(settings))
    assert json.loads(path.read_text()) == document
    with pytest.raises(FailedPrecondition, match="MASTER_KEY_UNKNOWN"):
        use_key(path, "other")


async def test_the_resealing_tells_its_progress_and_no_secret(registry, uow, capfd) -> None:
    named = await registry.create_credential(password="hidden-password")
    server = await registry.create(ssh=SshSettings(credential=named.name))
    path = registry.settings.master_key_file
    key_id = add_key(path)
    await until(lambda: is_sealed_with(registry, uow, key_id), 20)
    assert (await registry.way(server.id))[0].secret.password == "hidden-password"
    text = ""

    def is_told() -> bool:
        nonlocal text
        text += "".join(capfd.readouterr())
        return "resealing_began" in text and "resealing_ended" in text

    await until(is_told)
    secrets = ["hidden-password", *json.loads(path.read_text())["keys"].values()]
    assert not any(secret in text for secret in secrets)
