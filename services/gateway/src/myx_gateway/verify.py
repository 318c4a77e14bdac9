"""`python -m myx_gateway verify-audit`: whether the audit trail is what it was."""

import asyncio
import re

from myx_gateway.access.audit_check import Verdict, verify
from myx_gateway.chain import Head
from myx_gateway.settings import GatewaySettings
from myx_gateway.store.audit import AuditStore
from myx_gateway.store.database import Database
from myx_kit.db.engine import create_engine
from myx_kit.errors import InvalidArgument

_HEAD = re.compile(r"(\d{1,18}):([0-9a-f]{64})", re.ASCII)


def verify_audit(settings: GatewaySettings, expected: str) -> tuple[bool, str]:
    """Whether the trail is right, and what was found, as a sentence. `expected`: `SEQ:HASH` of a head, or empty."""
    head = _head(expected) if expected else None
    verdict = asyncio.run(_verify(settings, head))
    if verdict.fault is not None:
        return False, f"the audit trail was tampered with: {verdict.fault.problem}; first bad seq {verdict.fault.seq}"
    first = verdict.sealed.seq + 1
    return True, f"{verdict.count} entries from {first} on are right; head {verdict.head.seq}:{verdict.head.hash}"


def _head(text: str) -> Head:
    match = _HEAD.fullmatch(text)
    if match is None:
        raise InvalidArgument("HEAD_INVALID", "the expected head must be SEQ:HASH, as verify-audit prints it")
    return Head(int(match[1]), match[2])


async def _verify(settings: GatewaySettings, expected: Head | None) -> Verdict:
    engine = create_engine(settings.database_url(), 1)
    try:
        return await verify(AuditStore(Database(engine)), expected)
    finally:
        await engine.dispose()
