"""The OpenAPI document is the one in the repository: a change of the public interface is seen in review.

`MYX_UPDATE_SNAPSHOTS=1 pytest tests/contract/openapi` writes it anew.
"""

import json
import os
from pathlib import Path
from typing import Any

from myx_gateway import openapi
from myx_gateway.access.operation import On
from myx_gateway.app import build_api
from myx_gateway.operations import BY_NAME

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


def operations() -> list[tuple[str, dict[str, Any]]]:
    ways = [way for ways in current()["paths"].values() for way in ways.values()]
    return [(way["operationId"], way) for way in ways]


def test_every_operation_is_a_row_of_the_table_with_its_role() -> None:
    names = [name for name, _ in operations()]
    assert len(names) == len(set(names))
    for name, stated in operations():
        row = BY_NAME[name]
        assert stated["x-myx-role"] == (None if row.on is On.PUBLIC else row.role.name.lower())
        assert stated["x-myx-on"] == row.on.value
        assert stated["summary"]
        assert len(stated["tags"]) == 1
        assert stated["tags"][0] in openapi.TAGS


def test_every_operation_says_with_which_statuses_it_fails() -> None:
    document = current()
    assert document["security"] == [{"bearer": []}, {"session": []}]
    for response in document["components"]["responses"].values():
        assert "application/problem+json" in response["content"]
    for name, stated in operations():
        responses = stated["responses"]
        assert "default" not in responses
        assert {"401", "429", "500", "503", "504"} <= set(responses)
        assert str(BY_NAME[name].status) in responses
        parameters = {parameter["name"] for parameter in stated.get("parameters", ())}
        assert ("412" in responses) == ("If-Match" in parameters)
        assert ("422" in responses) == ("Idempotency-Key" in parameters)
        if "{" in BY_NAME[name].path:
            assert {"400", "404"} <= set(responses)


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
    bodies |= {"Login", "NewUser", "UserChanges"}
    assert holders == bodies | {"NewCommand", "CommandWork", "NewDeployment", "DeploymentWork"}
