from dataclasses import replace

import pytest

from myx_kit.errors import Internal
from myx_kit.ids import new_id
from myx_kit.secretbox import SecretBox
from myx_registry.domain.agents import AgentSecrets
from myx_registry.usecases.vault import Vault

SECRETS = AgentSecrets(agent_token="token", secret_key="secret", rpc_path="path", private_key_pem="key")


def vault() -> Vault:
    return Vault(SecretBox({"k1": b"1" * 32}, "k1"))


def test_what_was_sealed_for_an_agent_opens_for_it() -> None:
    agent_id = new_id()
    assert vault().open(agent_id, vault().seal(agent_id, SECRETS)) == SECRETS


def test_a_secret_moved_to_another_row_or_column_does_not_open() -> None:
    agent_id = new_id()
    sealed = vault().seal(agent_id, SECRETS)
    with pytest.raises(Internal):
        vault().open(new_id(), sealed)
    with pytest.raises(Internal):
        vault().open(agent_id, replace(sealed, agent_token=sealed.secret_key))


def test_secrets_are_not_printed() -> None:
    assert not any(secret in repr(SECRETS) for secret in ("token=", "secret=", "path=", "'key'"))
    assert repr(SECRETS) == "AgentSecrets()"
