"""The agent's life on a real host, driven by the executor: over SSH and by the agent itself."""

import asyncio
import shutil
from contextlib import suppress

import psutil
import pytest
from executor_deployments import Deployments, steps
from executor_hosts import enrol
from executor_tool import PLAYBOOKS, SHIPPED, project

from myx.executor.v1 import command_pb2 as pb
from myx.executor.v1 import deployment_pb2, deployment_service_pb2
from myx.registry.v1 import agent_pb2
from myx_kit.errors import FailedPrecondition, MyxError
from myx_testkit.bundle import CHECKOUT, agent_bundle, variant
from myx_testkit.process import is_alive
from myx_testkit.wait import until

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def bundle():
    return agent_bundle()


@pytest.fixture(scope="module")
def executor(start_executor, bundle):
    return start_executor(playbooks_dir=SHIPPED, agent_bundle_dir=bundle, upgrade_confirm_s=20)


@pytest.fixture
def client(executor, tls_dir):
    return lambda: Deployments(f"127.0.0.1:{executor.port}", tls_dir)


def demand(final, log):
    """The deployment went well; otherwise its log is shown."""
    if final.status != pb.COMMAND_STATUS_SUCCESS:
        pytest.fail(f"{final.reason}: {final.message}\n{log.data.decode()}")


@pytest.mark.long
async def test_install_run_upgrade_rotate_uninstall(client, registry, host):
    before = host.inventory()
    enrol(registry, host, "whole-life")
    async with client() as one:
        made = await one.create("whole-life", kind="install_agent")
        final = await one.ended(made.id, 120)
        log = await one.log(made.id)
        demand(final, log)
        assert set(steps(final).values()) <= {"success", "skipped"}

        again = await one.ended((await one.create("whole-life", kind="install_agent")).id, 120)
        assert again.status == pb.COMMAND_STATUS_SUCCESS, again
        assert again.recap.changed == 0

        assert (await one.log((await one.shell("whole-life", "id -un")).id)).data == b"root\n"
        running = await one.shell("whole-life", "sleep 60; echo through")
        nothing = await one.ended((await one.create("whole-life", kind="upgrade_agent")).id, 120)
        assert "nothing to do" in nothing.message
        upgrade = await one.create("whole-life", kind="upgrade_agent", force=True)
        final = await one.ended(upgrade.id, 200)
        log = await one.log(upgrade.id)
        demand(final, log)
        assert final.details["upgrade_state"] == "confirmed"

        rotated = await one.ended((await one.create("whole-life", kind="rotate_agent")).id, 60)
        assert rotated.status == pb.COMMAND_STATUS_SUCCESS, rotated
        assert (await one.log(running.id)).data == b"through\n"

        gone = await one.create("whole-life", kind="uninstall_agent")
        final = await one.ended(gone.id, 120)
        log = await one.log(gone.id)
        demand(final, log)
    assert host.inventory() == before


async def test_a_pushed_playbook_has_the_same_recap_by_both_ways(client, registry, host):
    enrol(registry, host, "both-ways")
    async with client() as one:
        await one.push_project("greetings", project(hello=PLAYBOOKS["hello.yml"]))
        request = {"project": "greetings", "playbook": "hello.yml", "vars": {"target": "/root/greeting"}}
        over_ssh = await one.create("both-ways", **request)
        final = await one.ended(over_ssh.id, 60)
        log = await one.log(over_ssh.id)
        demand(final, log)
        assert final.method_used == deployment_pb2.DEPLOYMENT_METHOD_SSH
        assert "no agent" in final.details["method_reason"]
        assert host.exec("cat /root/greeting; rm /root/greeting").stdout == "world"
        assert (await one.events(over_ssh.id)).events[-1].event["type"] == "recap"

        installed = await one.ended((await one.create("both-ways", kind="install_agent")).id, 120)
        assert installed.status == pb.COMMAND_STATUS_SUCCESS, installed
        by_agent = await one.create("both-ways", **request)
        log = await one.log(by_agent.id)
        other = await one.deployment(by_agent.id)
        demand(other, log)
        assert other.method_used == deployment_pb2.DEPLOYMENT_METHOD_AGENT
    counts = ("ok", "changed", "failed", "skipped", "unreachable")
    assert [getattr(final.recap, name) for name in counts] == [getattr(other.recap, name) for name in counts]


ARTIFACT = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.command: "sha256sum {{ artifact_path }}"
      register: found
    - ansible.builtin.debug:
        var: found.stdout
"""


async def test_an_artifact_lies_on_the_host_before_the_play(client, registry, host):
    enrol(registry, host, "with-artifact")
    async with client() as one:
        await one.push_project("artifacts", project(look=ARTIFACT))
        artifact = await one.push_artifact("tool.tar.gz", bytes(range(256)) * 9_000)
        request = {"project": "artifacts", "playbook": "look.yml", "artifact_sha256": artifact.sha256}
        for method in (deployment_pb2.DEPLOYMENT_METHOD_SSH, deployment_pb2.DEPLOYMENT_METHOD_AGENT):
            if method == deployment_pb2.DEPLOYMENT_METHOD_AGENT:
                await one.ended((await one.create("with-artifact", kind="install_agent")).id, 120)
            made = await one.create("with-artifact", method=method, **request)
            log = await one.log(made.id)
            demand(await one.deployment(made.id), log)
            assert artifact.sha256.encode() in log.data


async def test_a_replica_that_stops_lets_its_play_over_ssh_end(replica, registry, host, tls_dir):
    enrol(registry, host, "drained")
    first, second = replica("a", "b", playbooks_dir=SHIPPED, play_drain_s=30)
    async with (
        Deployments(f"127.0.0.1:{first.port}", tls_dir) as one,
        Deployments(f"127.0.0.1:{second.port}", tls_dir) as two,
    ):
        await one.push_project("slow", project(slow=PLAYBOOKS["slow.yml"]))
        made = await one.create("drained", project="slow", playbook="slow.yml", vars={"seconds": 6})

        async def task():
            return any(e.event["type"] == "task_started" for e in (await one.events(made.id)).events) or None

        await until(task, 60)
        await asyncio.to_thread(first.program.stop, timeout_s=40)
        assert (await two.ended(made.id, 60)).status == pb.COMMAND_STATUS_SUCCESS


async def test_a_play_over_ssh_is_cancelled_with_its_processes(client, registry, host):
    enrol(registry, host, "cancelled")
    async with client() as one:
        await one.push_project("slow", project(slow=PLAYBOOKS["slow.yml"]))
        made = await one.create("cancelled", project="slow", playbook="slow.yml", vars={"seconds": 4321})

        async def sleeps():
            return host.exec("pgrep -f '[s]leep 4321'", check=False).stdout or None

        await until(sleeps, 60)
        await one.cancel_deployment(made.id)
        final = await one.ended(made.id, 60)
        assert final.status == pb.COMMAND_STATUS_CANCELLED
        assert not await sleeps()


async def test_a_play_over_ssh_that_lost_its_replica_says_so(replica, registry, host, tls_dir):
    enrol(registry, host, "left-alone")
    first, second = replica("a", "b", lease_s=2, lease_renew_s=0.5, playbooks_dir=SHIPPED)
    async with (
        Deployments(f"127.0.0.1:{first.port}", tls_dir) as one,
        Deployments(f"127.0.0.1:{second.port}", tls_dir) as two,
    ):
        await one.push_project("slow", project(slow=PLAYBOOKS["slow.yml"]))
        made = await one.create("left-alone", project="slow", playbook="slow.yml", vars={"seconds": 300})

        async def task():
            return any(e.event["type"] == "task_started" for e in (await one.events(made.id)).events) or None

        await until(task, 60)
        first.program.kill9(with_children=True)
        final = await two.ended(made.id, 60)
    assert (final.status, final.reason) == (pb.COMMAND_STATUS_LOST, "lost")
    assert "run it again" in final.cure


# Always one write or another of it is under way.
TALKS = (
    """
- hosts: all
  gather_facts: false
  tasks:
"""
    + 400 * "    - ansible.builtin.debug:\n        msg: talk\n"
)


def plays_of(executor):
    """The processes of its plays over SSH."""
    found = []
    for process in psutil.Process(executor.program.pid).children(recursive=True):
        # Tasks come and go while they are looked at.
        with suppress(psutil.NoSuchProcess):
            if any("run_play.py" in word for word in process.cmdline()):
                found.append(process)
    return found


async def ended_somehow(client, deployment_id):
    """The deployment once it has ended; its replica may not answer for a while."""

    async def ended():
        with suppress(MyxError):
            found = await client.deployment(deployment_id)
            return found if found.status >= pb.COMMAND_STATUS_SUCCESS else None

    return await until(ended, 60)


async def test_a_play_over_ssh_ends_before_its_lease_when_the_database_is_silent(
    replica, registry, host, tls_dir, postgres
):
    enrol(registry, host, "unanswered")
    one = replica("a", lease_s=4, lease_renew_s=0.5, playbooks_dir=SHIPPED)
    server = psutil.Process(postgres.server.program.pid)
    async with Deployments(f"127.0.0.1:{one.port}", tls_dir) as client:
        await client.push_project("talks", project(talks=TALKS))
        made = await client.create("unanswered", project="talks", playbook="talks.yml")

        async def talks():
            return len((await client.events(made.id)).events) > 5

        await until(talks, 60)
        plays = plays_of(one)
        stopped = [server, *server.children(recursive=True)]
        for process in stopped:
            process.suspend()
        try:
            assert plays

            async def are_gone():
                return not any(is_alive(process) for process in plays)

            await until(are_gone, 4)
        finally:
            for process in stopped:
                process.resume()
        final = await ended_somehow(client, made.id)
    assert (final.status, final.reason) == (pb.COMMAND_STATUS_LOST, "lost")


async def test_a_play_over_ssh_ends_before_its_lease_when_the_database_is_away(
    replica, registry, host, tls_dir, postgres
):
    enrol(registry, host, "cut-off")
    one = replica("a", lease_s=4, lease_renew_s=0.5, playbooks_dir=SHIPPED)
    async with Deployments(f"127.0.0.1:{one.port}", tls_dir) as client:
        await client.push_project("slow", project(slow=PLAYBOOKS["slow.yml"]))
        made = await client.create("cut-off", project="slow", playbook="slow.yml", vars={"seconds": 4322})

        async def sleeps():
            return host.exec("pgrep -f '[s]leep 4322'", check=False).stdout or None

        await until(sleeps, 60)
        postgres.kill9()
        try:

            async def is_gone():
                return not await sleeps()

            # Of its lease four seconds were left at the most.
            await until(is_gone, 4)
        finally:
            postgres.restart()
        final = await ended_somehow(client, made.id)
    assert (final.status, final.reason) == (pb.COMMAND_STATUS_LOST, "lost")
    assert "run it again" in final.cure


async def test_a_host_key_is_seen_without_a_credential(client, registry, host):
    server_id = enrol(registry, host, "looked-at")
    registry.mark(server_id, hops=[], has_credential=False)
    async with client() as one:
        shown = await one.deployments.ScanHostKey(deployment_service_pb2.ScanHostKeyRequest(server="looked-at"))
    assert shown.fingerprint == host.fingerprint
    assert shown.public_key.startswith(host.host_key)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"secret": {"password": "wrong"}}, "ssh_auth_failed"),
        ({"hostKey": {"fingerprint": "SHA256:" + "A" * 43}}, "host_key_changed"),
        ({"hostKey": None}, "host_key_unknown"),
        ({"user": "nosudo"}, "sudo_not_allowed"),
    ],
)
async def test_a_login_that_is_refused_ends_the_install_with_a_cure(client, registry, host, changes, reason):
    name = f"refused-{reason.replace('_', '-')}"
    enrol(registry, host, name, **changes)
    async with client() as one:
        final = await one.ended((await one.create(name, kind="install_agent")).id, 60)
    assert (final.status, final.reason) == (pb.COMMAND_STATUS_FAILED, reason)
    assert final.message
    assert final.cure
    assert steps(final)["connect"] == "failed"


@pytest.mark.long
async def test_an_agent_that_broke_is_repaired_by_itself(client, registry, host, tls_dir, replica, bundle):
    server_id = enrol(registry, host, "broken")
    executor = replica("a", playbooks_dir=SHIPPED, agent_bundle_dir=bundle, repair_interval_s=1)
    async with Deployments(f"127.0.0.1:{executor.port}", tls_dir) as one:
        installed = await one.ended((await one.create("broken", kind="install_agent")).id, 120)
        assert installed.status == pb.COMMAND_STATUS_SUCCESS, installed
        host.exec("systemctl disable --now myx-agent; rm -rf /opt/myx-agent/current")
        registry.mark(server_id, status=agent_pb2.AGENT_STATUS_OFFLINE, cause="refused")

        async def repair():
            found = (await one.list_deployments(server="broken", kind="repair_agent")).deployments
            return found[0] if found else None

        made = await until(repair, 30)
        assert made.requested_by == "system:repair"
        final = await one.ended(made.id, 120)
        log = await one.log(made.id)
        demand(final, log)
        assert final.details["diagnosis"] == "refused"
        assert (await one.log((await one.run("broken", "true")).id)).final.status == pb.COMMAND_STATUS_SUCCESS
        # Still said to be offline: the next one waits for its pause.
        await asyncio.sleep(3)
        assert len((await one.list_deployments(server="broken", kind="repair_agent")).deployments) == 1


@pytest.fixture
def upgrades(tmp_path, bundle, replica):
    """An executor whose bundle is changed by `offer(folder)`."""
    link = tmp_path / "bundle"

    def offer(folder):
        draft = tmp_path / "bundle.new"
        draft.symlink_to(folder)
        draft.replace(link)

    offer(bundle)
    executor = replica("a", playbooks_dir=SHIPPED, agent_bundle_dir=link, upgrade_confirm_s=15)
    return executor, offer


def agent_variant(tmp_path, version, **replacements):
    """A bundle with another agent: `file="old -> new"` for each change of its source."""
    source = tmp_path / f"agent-{version}"
    shutil.copytree(CHECKOUT / "agent", source, ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
    for name, change in replacements.items():
        file = source / "src" / "myx_agent" / f"{name}.py"
        old, new = change.split(" -> ")
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))
    return variant("executor", source, version)


@pytest.mark.long
async def test_an_agent_without_log_streams_is_not_kept_and_not_tried_again(
    upgrades, registry, host, tls_dir, tmp_path
):
    executor, offer = upgrades
    enrol(registry, host, "careful")
    async with Deployments(f"127.0.0.1:{executor.port}", tls_dir) as one:
        installed = await one.ended((await one.create("careful", kind="install_agent")).id, 120)
        assert installed.status == pb.COMMAND_STATUS_SUCCESS, installed
        running = await one.shell("careful", "sleep 45; echo through")
        release = host.exec("readlink /opt/myx-agent/current").stdout

        offer(agent_variant(tmp_path, "0.2.0", stream="await websocket.accept() -> await asyncio.sleep(3600)"))
        final = await one.ended((await one.create("careful", kind="upgrade_agent")).id, 200)
        assert (final.status, final.reason) == (pb.COMMAND_STATUS_FAILED, "upgrade_reverted"), final
        assert final.details["upgrade_state"] == "reverted"
        assert "0.1.0 is back" in final.message
        assert host.exec("readlink /opt/myx-agent/current").stdout == release
        with pytest.raises(FailedPrecondition) as error:
            await one.create("careful", kind="upgrade_agent")
        assert error.value.reason == "VERSION_FAILED_BEFORE"

        offer(agent_variant(tmp_path, "0.3.0"))
        made = await one.create("careful", kind="upgrade_agent")
        final = await one.ended(made.id, 200)
        demand(final, await one.log(made.id))
        assert final.details["previous_version"] == "0.1.0"
        assert final.details["target_version"] == "0.3.0"
        assert (await one.log(running.id)).data == b"through\n"
