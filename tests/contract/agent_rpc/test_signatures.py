"""The signature of requests: the same vectors for who signs (the client) and who checks (the agent)."""

import json
from pathlib import Path

import pytest

from myx_agent.auth import Authenticator, Nonces, Verdict
from myx_agent.config import Config
from myx_kit.agent_rpc.signature import sign

VECTORS = json.loads((Path(__file__).parent / "signature_vectors.json").read_text(encoding="utf-8"))


@pytest.fixture(params=VECTORS, ids=lambda one: one["name"])
def vector(request):
    return request.param


@pytest.fixture
def authenticator(vector, tmp_path):
    config = Config(agent_token="t" * 16, secret_key=vector["secret_key"], rpc_port=1, rpc_path="p" * 16)
    nonces = Nonces(tmp_path / "nonces", keep_s=300)
    nonces.load(vector["t"])
    yield Authenticator(config, nonces, clock=lambda: vector["t"] + 1)
    nonces.close()


def test_the_client_signs_as_the_vector_says(vector):
    body = vector["body"].encode()

    header = sign(vector["secret_key"], vector["method"], vector["path_and_query"], body, vector["t"], vector["n"])

    assert header == vector["header"]


def test_the_agent_takes_the_vector_once(vector, authenticator):
    request = (vector["header"], vector["method"], vector["path_and_query"], vector["body"].encode())

    assert authenticator.check_signature(*request) is Verdict.OK
    assert authenticator.check_signature(*request) is Verdict.DENIED


@pytest.mark.parametrize("change", ["method", "path_and_query", "body", "t", "n"])
def test_the_agent_refuses_a_vector_that_was_changed(vector, authenticator, change):
    signed = dict(vector)
    if change in ("t", "n"):
        old, new = (str(vector["t"]), str(vector["t"] + 1)) if change == "t" else (vector["n"], "1" + vector["n"][1:])
        signed["header"] = vector["header"].replace(f"{change}={old}", f"{change}={new}")
    else:
        signed[change] += "x"

    verdict = authenticator.check_signature(
        signed["header"], signed["method"], signed["path_and_query"], signed["body"].encode()
    )

    assert verdict is Verdict.DENIED
