"""The OpenAPI document is the one in the repository: a change of the public interface is seen in review.

`MYX_UPDATE_SNAPSHOTS=1 pytest tests/contract/openapi` writes it anew.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

from myx_gateway import openapi
from myx_gateway.app import build_api

SNAPSHOT = Path(__file__).parent / "openapi.json"


def current() -> dict[str, Any]:
    return openapi.document(build_api(None, None))  # type: ignore[arg-type]


def references(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return own.union(*(references(value) for value in node.values()))
    if isinstance(node, list):
        return set().union(*(references(item) for item in node))
    return set()


def test_the_document_is_the_snapshot() -> None:
    text = json.dumps(current(), indent=2, ensure_ascii=False) + "\n"
    if os.environ.get("MYX_UPDATE_SNAPSHOTS"):
        SNAPSHOT.write_text(text)
    assert text == SNAPSHOT.read_text(), "the REST interface has changed; see the first lines of this file"


def test_it_is_openapi_3_1_and_every_reference_leads_somewhere() -> None:
    document = current()
    assert document["openapi"].startswith("3.1")
    for reference in references(document):
        node = document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]


def test_every_operation_is_named_once_needs_the_token_and_may_fail_with_a_problem() -> None:
    document = current()
    assert document["security"] == [{"token": []}]
    operations = [(path, way, operation) for path, ways in document["paths"].items() for way, operation in ways.items()]
    names = [operation["operationId"] for _, _, operation in operations]
    assert len(names) == len(set(names)) == 63
    for _path, _way, operation in operations:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)+", operation["operationId"])
        assert "application/problem+json" in operation["responses"]["default"]["content"]
        assert "422" not in operation["responses"]
        assert operation.get("summary")


def test_every_post_that_creates_takes_an_idempotency_key() -> None:
    nouns = ("servers", "commands", "credentials", "deployments", "jobs", "schedules")
    for path in (*nouns, "deployments/{deployment_id}/retry", "jobs/{job_id}/retry"):
        parameters = current()["paths"][f"/api/v1/{path}"]["post"]["parameters"]
        assert "Idempotency-Key" in {parameter["name"] for parameter in parameters}


def test_secrets_are_only_ever_sent() -> None:
    components = current()["components"]["schemas"]
    words = {"password", "private_key", "passphrase", "sudo_password", "secret_vars", "secret_env", "secret", "secrets"}
    holders = {name for name, schema in components.items() if words & set(schema.get("properties", ()))}
    bodies = {"NewSecret", "NewCredential", "CredentialChanges", "RetryRequest", "JobRetry"}
    assert holders == bodies | {"NewCommand", "CommandWork", "NewDeployment", "DeploymentWork"}
