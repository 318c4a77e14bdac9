"""A second opinion for a replica that suspects itself."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from myx_heartbeat.domain import Endpoint, Member, Report, Sighting
from myx_heartbeat.usecases.doubt import Doubt
from myx_heartbeat.usecases.ports import Probe
from myx_kit.errors import MyxError
from myx_kit.logging import get_logger

log = get_logger()

_SAMPLE = 10


class Peers(Protocol):
    """The other replicas."""

    async def probe(self, member: Member, agent_ids: Sequence[str]) -> Sighting:
        """What a member sees of agents. MyxError: it does not answer."""
        ...


class Share(Protocol):
    """Membership, as far as it matters here."""

    @property
    def others(self) -> Sequence[Member]:
        """The members beside this one."""
        ...

    is_suspended: bool


class SecondOpinion:
    """Asks another replica or, where none can tell, the SSH ports of a sample of hosts.

    Another replica that reaches most of the sample proves that it is our network that is broken: then we leave the
    agents to the others until we reach them again. One that reaches them as little proves something about them only
    while it does not doubt itself: replicas that stand together are cut off together.
    """

    def __init__(
        self,
        doubt: Doubt,
        share: Share,
        peers: Peers,
        probe: Probe,
        *,
        endpoint_of: Callable[[str], Endpoint | None],
        ssh_answers: Callable[[Endpoint], Awaitable[bool]],
        on_confirmed: Callable[[Sequence[Report]], None],
    ) -> None:
        """`endpoint_of`: any agent of the fleet; `on_confirmed` takes the reports that were held back."""
        self._doubt = doubt
        self._share = share
        self._peers = peers
        self._probe = probe
        self._endpoint_of = endpoint_of
        self._ssh_answers = ssh_answers
        self._on_confirmed = on_confirmed
        self._lost: list[str] = []

    async def run_once(self) -> None:
        """One look; nothing to do while there is no doubt."""
        if self._share.is_suspended:
            await self._try_to_come_back()
            return
        if self._doubt.suspicion is None:
            return
        if self._doubt.overdue():
            self._confirm("nobody could tell for as long as a doubt may last")
            return
        failing = self._doubt.failing
        ids = random.sample(failing, min(_SAMPLE, len(failing)))
        sample = [one for one in map(self._endpoint_of, ids) if one is not None]
        if not sample:
            return
        if self._share.others:
            await self._ask_another(sample)
        else:
            await self._ask_hosts(sample)

    async def _ask_another(self, sample: Sequence[Endpoint]) -> None:
        member = random.choice(self._share.others)  # noqa: S311 - spreads load, guards nothing
        try:
            seen = await self._peers.probe(member, [one.agent_id for one in sample])
        except MyxError as error:
            self._doubt.tell(f"replica {member.member_id} could not be asked: {error.message}")
            return
        asked = len(seen.causes)
        failed = sum(1 for cause in seen.causes.values() if cause)
        if self._doubt.suspicion is None or not asked:
            return
        if 2 * failed < asked:
            log.warning("leaves_its_share", other=member.member_id, reached=asked - failed, asked=asked)
            self._lost = [one.agent_id for one in sample]
            self._share.is_suspended = True
            return
        verdict = f"replica {member.member_id} does not reach {failed} of {asked} either"
        if seen.doubts_itself:
            await self._ask_hosts(sample, f"{verdict}, but doubts itself; ")
        else:
            self._confirm(verdict)

    async def _ask_hosts(self, sample: Sequence[Endpoint], so_far: str = "") -> None:
        answers = await asyncio.gather(*(self._ssh_answers(one) for one in sample if one.ssh_port))
        reached = sum(answers)
        if self._doubt.suspicion is None:
            return
        seen = f"{so_far}{reached} of {len(answers)} of their hosts answer on their SSH port"
        self._doubt.tell(seen)
        if not reached or 2 * reached < len(answers):
            return
        # The network is there now; it may not have been when the agents failed.
        outcomes = await asyncio.gather(*(self._probe(one, retry=False) for one in sample))
        back = [one.agent_id for one, outcome in zip(sample, outcomes, strict=True) if not outcome.cause]
        if self._doubt.suspicion is not None and 2 * len(back) < len(sample):
            self._confirm(seen, but=back)

    async def _try_to_come_back(self) -> None:
        # As they are now: an agent may be gone, have moved, or have another certificate since.
        asked = [one for one in map(self._endpoint_of, self._lost) if one is not None]
        outcomes = await asyncio.gather(*(self._probe(one, retry=False) for one in asked))
        answered = sum(1 for outcome in outcomes if not outcome.cause)
        if 2 * answered >= len(asked) or not self._share.others:
            log.info("takes_its_share_again", reached=answered, asked=len(asked))
            self._share.is_suspended = False

    def _confirm(self, why: str, but: Sequence[str] = ()) -> None:
        self._on_confirmed([one for one in self._doubt.believe(why) if one.agent_id not in but])
