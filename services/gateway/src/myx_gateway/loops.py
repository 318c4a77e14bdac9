"""Background work of the gateway: the audit trail's and the fleet events'."""

from contextlib import AsyncExitStack
from typing import Final

from myx_gateway.access.trail import Lease, Retention, Trail
from myx_gateway.settings import GatewaySettings
from myx_gateway.store.audit import AuditStore
from myx_gateway.streams.event_ring import EventRing
from myx_kit.db.unit_of_work import UnitOfWork
from myx_kit.events.bus import Bus
from myx_kit.events.reader import EventReader
from myx_kit.logging import get_logger
from myx_kit.loops import Loop, TaskOwner

log = get_logger()

_RETENTION_S: Final = 3600.0
# The head is logged so often, if it has moved: where logs are kept elsewhere, nobody can cut off the trail unnoticed.
_HEAD_S: Final = 600.0
_BUS_NAME: Final = "gateway"


class AuditLoops:
    """The trail, and what keeps it going."""

    def __init__(self, settings: GatewaySettings, uow: UnitOfWork) -> None:
        self._drain_s = settings.drain_s
        self._keep_days = settings.audit_keep_days
        self._owner = TaskOwner("audit")
        self.store = AuditStore(uow)
        self._lease = Lease(self.store, settings.audit_lease_s)
        self.trail = Trail(self.store, self._lease, self._owner)
        self._logged_seq = -1

    def start(self, stack: AsyncExitStack) -> None:
        """Start; closing waits for the entries of what has ended, so close it after the door."""
        stack.push_async_callback(self._owner.close)
        stack.push_async_callback(self.trail.close, self._drain_s / 2)
        loops = [
            Loop("audit-lease", self._lease.interval_s, self._lease.run_once, max_backoff_s=self._lease.interval_s),
            Loop("audit-head", _HEAD_S, self._log_head),
        ]
        if self._keep_days:
            loops.append(Loop("audit-retention", _RETENTION_S, Retention(self.store, self._keep_days).run_once))
        for number, loop in enumerate(loops):
            self._owner.start(loop.run(), name=f"loop-{number}", critical=True)

    async def _log_head(self) -> None:
        head = (await self.store.ends()).head
        if head.seq != self._logged_seq:
            log.info("audit_head", seq=head.seq, hash=head.hash)
            self._logged_seq = head.seq


async def read_events(settings: GatewaySettings, ring: EventRing, stack: AsyncExitStack) -> None:
    """Fill the ring with the fleet's events, from now until the stack is closed."""
    bus = await Bus.connect(settings.nats_url, settings.tls_dir, _BUS_NAME, wait_s=0)
    stack.push_async_callback(bus.close)
    owner = TaskOwner("events")
    stack.push_async_callback(owner.close)
    owner.start(EventReader(bus, ring, settings.events_kept).run(), name="reader", critical=True)
