"""Background work of a replica, each turn a `run_once`."""

import asyncio

from myx_executor.settings import ExecutorSettings
from myx_executor.store.commands import CommandStore
from myx_executor.store.log_partitions import LogPartitions
from myx_executor.store.pool import Pool
from myx_executor.store.retention import RetentionStore
from myx_executor.store.sealed import SealedStore
from myx_executor.usecases.deployments.pushes import Artifacts
from myx_executor.usecases.deployments.self_repair import SelfRepair
from myx_executor.usecases.expire import Expiry
from myx_executor.usecases.live import LiveHub
from myx_executor.usecases.release import Releaser
from myx_executor.usecases.resealing import Resealing
from myx_executor.usecases.retention import Retention
from myx_executor.usecases.runner import Runner
from myx_kit.key_watch import KeyWatch
from myx_kit.loops import Loop, TaskOwner
from myx_kit.rpc.server import RpcServer
from myx_kit.rpc.serving import ServingWhile
from myx_kit.secretbox import SecretBox

_RELEASE_S = 0.25
_RELEASE_SWEEP_S = 60.0
_HEAL_S = 1.0
_SERVING_S = 1.0
_KEYS_S = 5.0
_ABANDONED_S = 3600.0
# One turn of the relay for the events of many short commands: each turn costs more than a command.
_EVENTS_S = 0.1


class Gather:
    """Sets an event once for all calls within a short time."""

    def __init__(self, wake: asyncio.Event, delay_s: float = _EVENTS_S) -> None:
        self._wake = wake
        self._delay_s = delay_s
        self._due = False

    def __call__(self) -> None:
        """Wake soon."""
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_later(self._delay_s, self._fire)

    def _fire(self) -> None:
        self._due = False
        self._wake.set()


def start_deployment_loops(
    owner: TaskOwner, settings: ExecutorSettings, repair: SelfRepair, artifacts: Artifacts
) -> None:
    """Starts what deployments need beside the work itself."""
    loops = {"abandoned-uploads": Loop("abandoned-uploads", _ABANDONED_S, artifacts.sweep_once)}
    if settings.repair_interval_s:
        loops["repair"] = Loop("repair", settings.repair_interval_s, repair.run_once, wake=repair.wake)
    for name, loop in loops.items():
        owner.start(loop.run(), name=name, critical=True)


def start_loops(  # noqa: PLR0917 - each is a loop or two
    owner: TaskOwner, settings: ExecutorSettings, runner: Runner, hub: LiveHub, releaser: Releaser, expiry: Expiry
) -> None:
    """Starts what a replica does by itself. Pauses after failures stay short: leases run out."""
    loops = {
        "renew": Loop("renew", settings.lease_renew_s, runner.renew_once, max_backoff_s=1),
        "sweep": Loop("sweep", settings.sweep_interval_s, runner.sweep_once, wake=runner.wake, max_backoff_s=2),
        "expire": Loop("expire", settings.sweep_interval_s, expiry.run_once, max_backoff_s=2),
        "heal": Loop("heal", _HEAL_S, hub.heal_once, max_backoff_s=2),
        "release": Loop("release", _RELEASE_S, releaser.run_once),
        "release-sweep": Loop("release-sweep", _RELEASE_SWEEP_S, releaser.sweep_once),
    }
    for name, loop in loops.items():
        owner.start(loop.run(), name=name, critical=True)


def start_retention(owner: TaskOwner, settings: ExecutorSettings, pool: Pool, name: str) -> None:
    """Starts what makes partitions ahead and removes what is too old."""
    interval_s = settings.retention_interval_s
    retention = Retention(
        RetentionStore(pool), LogPartitions(pool), settings.retention(), name, rest_s=interval_s * 0.8
    )
    owner.start(Loop("retention", interval_s, retention.run_once).run(), name="retention", critical=True)


def start_key_watch(owner: TaskOwner, box: SecretBox, pool: Pool) -> None:
    """Starts what takes a rotated master key and seals everything again with it."""
    resealing = Resealing(SealedStore(pool), box)
    watch = KeyWatch(box, resealing.turn, resealing.is_needed)
    owner.start(Loop("key-watch", _KEYS_S, watch.run_once).run(), name="key-watch", critical=True)


def start_serving(owner: TaskOwner, server: RpcServer, pool: Pool, hub: LiveHub) -> None:
    """Starts what has callers turn to other replicas while this one has no database; `pool`: for this alone."""
    serving = ServingWhile(server, CommandStore(pool).ping, on_lost=hub.send_away)
    owner.start(Loop("serving", _SERVING_S, serving.run_once).run(), name="serving", critical=True)
