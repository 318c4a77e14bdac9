"""Every NATS subject of MyX in one place."""

EVENT_STREAM = "MYX_EVENTS"
# What the stream keeps.
EVENT_SUBJECTS = "myx.events.>"


def event_subject(aggregate: str, verb: str, aggregate_id: str) -> str:
    """`myx.events.<aggregate>.<verb>.<id>`, for example `myx.events.agent.online.0197…`; JetStream."""
    return f"myx.events.{aggregate}.{verb}.{aggregate_id}"


def log_subject(command_id: str) -> str:
    """`myx.log.<command id>`: the live log of one command; core NATS, healed from the database."""
    return f"myx.log.{command_id}"


def work_subject(kind: str) -> str:
    """`myx.work.<kind>`: says that work of this kind waits to be claimed; core NATS, polling is the fallback."""
    return f"myx.work.{kind}"
