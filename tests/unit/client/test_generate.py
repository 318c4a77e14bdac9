"""Models and operations are those of the OpenAPI document."""

import importlib.util
import inspect
import json
from pathlib import Path

import pytest

from myx_client import api, models
from myx_client.client import Client

ROOT = Path(__file__).resolve().parents[3]
DOCUMENT = json.loads((ROOT / "tests/contract/openapi/openapi.json").read_text())
OPERATIONS = {
    operation["operationId"]: operation
    for path, verbs in DOCUMENT["paths"].items()
    if path.startswith("/api/v1/")
    for operation in verbs.values()
}
# The streams, by operation, and what follows them.
FOLLOWED = {
    "commands.stream_log": lambda client: client.commands.follow,
    "deployments.stream_log": lambda client: client.deployments.follow,
    "jobs.stream": lambda client: client.jobs.follow,
    "events.stream": lambda client: client.events,
}


@pytest.fixture(scope="module")
def generator():
    spec = importlib.util.spec_from_file_location("generate_client", ROOT / "client/generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def client():
    return Client("https://example.com", "token")


def test_what_is_installed_is_what_the_document_says(generator, tmp_path):
    generator.generate(tmp_path)
    for module in (api, models):
        name = Path(module.__file__).name
        assert (tmp_path / name).read_text() == Path(module.__file__).read_text(), "make install"


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_can_be_called(client, name):
    noun, _, verb = name.partition(".")
    method = FOLLOWED[name](client) if name in FOLLOWED else getattr(getattr(client, noun), verb)
    assert inspect.getdoc(method)


def test_every_stream_is_followed():
    assert api.STREAMS.keys() == FOLLOWED.keys()


def test_every_schema_is_a_model_that_shows_no_secret():
    for name, schema in DOCUMENT["components"]["schemas"].items():
        model = getattr(models, name)
        if "enum" in schema:
            assert [str(member) for member in model] == schema["enum"]
        else:
            names = {field.rstrip("_") for field in model.__struct_fields__}
            assert names == {field.rstrip("_") for field in schema.get("properties", {})}
    secret = models.NewCommand(server="a", command="b", secret_env={"PASSWORD": "pw-4711"})
    assert "4711" not in repr(secret)
    login = models.Login(name="alice", password="pw-4711")
    assert "4711" not in repr(login)


def test_an_odd_document_becomes_python_all_the_same(generator, tmp_path, monkeypatch):
    body = {
        "type": "object",
        "properties": {"from": {"type": "string"}, "id": {"type": "integer"}},
        "required": ["from"],
    }
    page = {
        "type": "object",
        "properties": {"items": {"type": "array", "items": {"$ref": "#/components/schemas/Class"}}},
        "required": ["items"],
    }
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Class"}}}
    operation = {
        "operationId": "things.import",
        "parameters": [{"name": "id", "in": "path", "schema": {"type": "string"}, "required": True}],
        "requestBody": {"required": True, "content": content},
        "responses": {"204": {"description": "done"}},
    }
    document = {
        "paths": {"/api/v1/things/{id}": {"post": operation}},
        "components": {"schemas": {"Class": body, "Page": page}},
    }
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    monkeypatch.setattr(generator, "_DOCUMENTS", (tmp_path / "openapi.json",))
    generator.generate(tmp_path)
    written = (tmp_path / "api.py").read_text()
    compile(written, "api.py", "exec")
    assert "async def import_(" in written
    assert 'body=given({"from": from_, "id": id_}),' in written
    compile((tmp_path / "models.py").read_text(), "models.py", "exec")
    assert '    from_: str = field(name="from")' in (tmp_path / "models.py").read_text()
