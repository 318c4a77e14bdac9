"""The audit trail as it is shown."""

from collections.abc import Mapping
from typing import Any

from myx_gateway.access.audit_check import Verdict
from myx_gateway.schemas.audit import AuditEntry, Verification


def entry(document: Mapping[str, Any]) -> AuditEntry:
    """An entry as it is stored."""
    return AuditEntry(**document)


def verification(verdict: Verdict) -> Verification:
    """What a check has found."""
    fault = verdict.fault
    return Verification(
        ok=fault is None,
        count=verdict.count,
        head_seq=verdict.head.seq,
        head_hash=verdict.head.hash,
        sealed_through=verdict.sealed.seq,
        bad_seq=None if fault is None else fault.seq,
        problem="" if fault is None else fault.problem,
    )
