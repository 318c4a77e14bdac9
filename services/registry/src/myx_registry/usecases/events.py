"""The registry's facts as events. They carry ids and versions, no secrets."""

from datetime import datetime

from myx.events.v1 import events_pb2
from myx_kit.ids import new_id
from myx_registry.domain.agents import Agent, AgentStatus
from myx_registry.domain.heartbeats import Fact, Flapping, Quarantined, Rebooted, Settled, Transition, VersionChange
from myx_registry.domain.servers import Server


def server_created(server: Server) -> events_pb2.Event:
    """A server was added."""
    event = _event(server.created_at, server.revision)
    event.server_created.server_id = str(server.id)
    event.server_created.name = server.spec.name
    return event


def server_updated(server: Server, at: datetime | None = None) -> events_pb2.Event:
    """A server's settings changed, or `at` that time something about it that is no setting."""
    event = _event(at or server.updated_at, server.revision)
    event.server_updated.server_id = str(server.id)
    event.server_updated.name = server.spec.name
    return event


def server_deleted(server: Server, at: datetime) -> events_pb2.Event:
    """A server was removed; it was `server` until then."""
    event = _event(at, server.revision + 1)
    event.server_deleted.server_id = str(server.id)
    event.server_deleted.name = server.spec.name
    return event


def agent_registered(agent: Agent) -> events_pb2.Event:
    """An agent identity was allocated."""
    event = _event(agent.created_at, agent.revision)
    event.agent_registered.agent_id = str(agent.id)
    event.agent_registered.server_id = str(agent.server_id)
    return event


def agent_rotated(before: Agent, at: datetime) -> events_pb2.Event:
    """The connection data of an agent changed, or further ones are right as well; it was `before` until then."""
    event = _event(at, before.revision + 1)
    event.agent_rotated.agent_id = str(before.id)
    event.agent_rotated.server_id = str(before.server_id)
    return event


def agent_removed(before: Agent, at: datetime) -> events_pb2.Event:
    """An agent was taken off its host; it was `before` until then."""
    event = _event(at, before.revision + 1)
    event.agent_removed.agent_id = str(before.id)
    event.agent_removed.server_id = str(before.server_id)
    return event


def agent_fact(fact: Fact) -> tuple[str, events_pb2.Event]:
    """Verb and event of what a heartbeat showed."""
    match fact:
        case Transition():
            return agent_transition(fact)
        case VersionChange():
            return "upgraded", _agent_upgraded(fact)
        case Flapping():
            event = _event(fact.at, fact.revision)
            event.agent_flapping.CopyFrom(events_pb2.AgentFlapping(changes=fact.changes, **_ids(fact)))
            return "flapping", event
        case Settled():
            event = _event(fact.at, fact.revision)
            settled = events_pb2.AgentSettled(status=fact.status.value, cause=fact.cause, **_ids(fact))
            event.agent_settled.CopyFrom(settled)
            return "settled", event
        case Quarantined():
            event = _event(fact.at, fact.revision)
            event.agent_quarantined.CopyFrom(events_pb2.AgentQuarantined(**_ids(fact)))
            return "quarantined", event
        case Rebooted():
            event = _event(fact.at, fact.revision)
            event.agent_rebooted.CopyFrom(events_pb2.AgentRebooted(**_ids(fact)))
            return "rebooted", event
        case _:
            raise TypeError(type(fact).__name__)


def _ids(fact: Fact) -> dict[str, str]:
    return {"agent_id": str(fact.agent_id), "server_id": str(fact.server_id)}


def agent_transition(transition: Transition) -> tuple[str, events_pb2.Event]:
    """Verb and event of an agent that entered ONLINE or OFFLINE."""
    event = _event(transition.at, transition.revision)
    if transition.status is AgentStatus.ONLINE:
        event.agent_online.agent_id = str(transition.agent_id)
        event.agent_online.server_id = str(transition.server_id)
        event.agent_online.version = transition.version
        return "online", event
    event.agent_offline.agent_id = str(transition.agent_id)
    event.agent_offline.server_id = str(transition.server_id)
    event.agent_offline.cause = transition.cause
    return "offline", event


def _agent_upgraded(change: VersionChange) -> events_pb2.Event:
    event = _event(change.at, change.revision)
    event.agent_upgraded.agent_id = str(change.agent_id)
    event.agent_upgraded.server_id = str(change.server_id)
    event.agent_upgraded.version = change.version
    event.agent_upgraded.previous_version = change.previous_version
    return event


def _event(at: datetime, revision: int) -> events_pb2.Event:
    event = events_pb2.Event(id=str(new_id()), revision=revision)
    event.occurred_at.FromDatetime(at)
    return event
