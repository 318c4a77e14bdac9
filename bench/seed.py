"""Simulated agents entered into the registry's tables in bulk: what enrolment would have left there."""

from datetime import UTC, datetime

import sqlalchemy as sa

from bench.simulator.fleet_file import FleetFile
from myx_kit.ids import new_id
from myx_kit.secretbox import SecretBox
from myx_registry.domain.agents import AgentSecrets
from myx_registry.models import agent, server
from myx_registry.usecases.vault import Vault
from myx_standalone.home import Home

_ROWS = 500


def seed(home: Home, fleet: FleetFile) -> dict[str, str]:
    """Server ids by name. The registry must have its tables; services that run already hear of it when they look again.

    The agents stand as online, with a heartbeat just now.
    """
    vault = Vault(SecretBox.from_file(home.master_key_file("registry")))
    now = datetime.now(UTC)
    servers, agents = [], []
    for identity in fleet.agents:
        server_id, agent_id = new_id(), new_id()
        servers.append(
            {
                "id": server_id,
                "name": identity.name,
                "address": identity.address,
                "labels": identity.labels,
                "revision": 1,
                "created_at": now,
                "updated_at": now,
                "repair_policy": "off",
                # Behind a jump host: on loopback a closed SSH port would say that the network is there.
                "ssh_jump_server_ids": [server_id],
            }
        )
        sealed = vault.seal(
            agent_id,
            AgentSecrets(
                agent_token=identity.agent_token,
                secret_key=identity.secret_key,
                rpc_path=identity.rpc_path,
                private_key_pem="",
            ),
        )
        agents.append(
            {
                "id": agent_id,
                "server_id": server_id,
                "rpc_port": identity.rpc_port,
                "certificate_sha256": fleet.certificate_sha256,
                "certificate_pem": fleet.certificate_pem,
                "sealed_agent_token": sealed.agent_token,
                "sealed_secret_key": sealed.secret_key,
                "sealed_rpc_path": sealed.rpc_path,
                "sealed_private_key": sealed.private_key,
                "revision": 1,
                "status": "online",
                "status_reason": "",
                "status_message": "",
                "status_since": now,
                "version": "0.1.0+sim",
                "rpc_supported": True,
                "last_heartbeat": now,
                "failure_streak": 0,
                "last_attempts": [],
                "created_at": now,
            }
        )
    url = home.database_url_file("registry").read_text().strip()
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1))
    with engine.begin() as connection:
        for start in range(0, len(servers), _ROWS):
            connection.execute(sa.insert(server), servers[start : start + _ROWS])
            connection.execute(sa.insert(agent), agents[start : start + _ROWS])
    engine.dispose()
    return {str(row["name"]): str(row["id"]) for row in servers}
