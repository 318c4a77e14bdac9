"""Generate `models.py` and `api.py` of myx_client from the OpenAPI document (`python client/generate.py`, or by the
build hook).

Standard library only, so that the hook needs nothing. What is not given is not sent: a client that is newer than MyX
only fails where it uses what is new.
"""

import json
import keyword
import re
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent
PACKAGE = ROOT / "src" / "myx_client"
# A source distribution has a copy of its own.
_DOCUMENTS = (ROOT / "openapi.json", ROOT.parent / "tests" / "contract" / "openapi" / "openapi.json")
_BASE = "/api/v1"
_JSON = "application/json"
_EVENTS = "text/event-stream"
# Never shown by `repr`; whatever the document marks as writeOnly neither.
_SECRET = re.compile(
    r"(old_|new_|sudo_)?password|passphrase|private_key|secret|secrets|secret_(env|vars)|(csrf_)?token"
)
_DIGITS = {"^-?[0-9]+$", "^[0-9]+$"}
_WIDTH = 116

Schema = dict[str, Any]


def generate(out: Path = PACKAGE) -> None:
    """Write both modules into `out`."""
    document = json.loads(next(path for path in _DOCUMENTS if path.exists()).read_text())
    (out / "models.py").write_text(models_module(document))
    (out / "api.py").write_text(api_module(document))


# --- types


def type_of(schema: Schema, prefix: str = "") -> str:
    """The Python type of a schema; names of models get `prefix`."""
    if "$ref" in schema:
        return prefix + _name_of(schema)
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(type_of(one, prefix) for one in schema["anyOf"]))
    match schema.get("type"):
        case "string":
            return {"date-time": "datetime", "binary": "bytes"}.get(schema.get("format", ""), "str")
        case "integer":
            return "int"
        case "number":
            return "float"
        case "boolean":
            return "bool"
        case "null":
            return "None"
        case "array":
            return f"list[{type_of(schema.get('items', {}), prefix)}]"
        case "object":
            values = schema.get("additionalProperties", True)
            return f"dict[str, {type_of(values, prefix) if isinstance(values, dict) else 'Any'}]"
    return "Any"


def argument_type(schema: Schema, enums: set[str]) -> str:
    """The type of an argument: wider than what is read, so that plain texts and tuples do."""
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(argument_type(one, enums) for one in schema["anyOf"]))
    if schema.get("type") == "array":
        return f"Sequence[{argument_type(schema.get('items', {}), enums)}]"
    if schema.get("type") == "object":
        return "Mapping" + type_of(schema, "models.").removeprefix("dict")
    if schema.get("pattern") in _DIGITS:
        return "int | str"
    if "$ref" in schema and _name_of(schema) in enums:
        return f"{type_of(schema, 'models.')} | str"
    return type_of(schema, "models.")


def _name_of(schema: Schema) -> str:
    return str(schema["$ref"]).rsplit("/", 1)[-1]


def _nullable(schema: Schema) -> bool:
    return schema.get("type") == "null" or any(_nullable(one) for one in schema.get("anyOf", ()))


def _identifier(name: str) -> str:
    text = re.sub(r"\W", "_", name)
    return f"{text}_" if keyword.iskeyword(text) else text


def _is_secret(name: str, schema: Any) -> bool:
    return _SECRET.fullmatch(name) is not None or '"writeOnly": true' in json.dumps(schema)


def _quoted(text: str, indent: str) -> list[str]:
    """A docstring."""
    text = text.replace("\\", "\\\\").replace('"""', "'''").strip()
    if len(text) + len(indent) <= _WIDTH - 6 and "\n" not in text:
        return [f'{indent}"""{text}"""']
    lines = text.split("\n")
    wrapped = [part for line in lines for part in (textwrap.wrap(line, _WIDTH - len(indent) - 3) or [""])]
    return [f'{indent}"""{wrapped[0]}', *(f"{indent}{line}".rstrip() for line in wrapped[1:]), f'{indent}"""']


# --- models


def models_module(document: Schema) -> str:
    """All schemas as msgspec structs and enumerations."""
    schemas: dict[str, Schema] = document["components"]["schemas"]
    patches = set(_patch_bodies(document))
    lines = [
        '"""What is sent and answered. Generated from the OpenAPI document; do not edit."""',
        "",
        "from __future__ import annotations",
        "",
        "from datetime import datetime",
        "from typing import Any",
        "",
        "from msgspec import UNSET, Struct, UnsetType, field",
        "",
        "from myx_client.values import OpenEnum, shown",
    ]
    for name, schema in schemas.items():
        lines += ["", "", *(_enum(name, schema) if "enum" in schema else _struct(name, schema, name in patches))]
    lines += ["", "", "__all__ = [", *(f'    "{name}",' for name in schemas), "]", ""]
    return "\n".join(lines)


def _patch_bodies(document: Schema) -> Iterator[str]:
    for verb, _, operation in _operations(document):
        content = operation.get("requestBody", {}).get("content", {})
        if verb == "patch" and "$ref" in content.get(_JSON, {}).get("schema", {}):
            yield _name_of(content[_JSON]["schema"])


def _enum(name: str, schema: Schema) -> list[str]:
    members = [f'    {_member(value)} = "{value}"' for value in schema["enum"]]
    return [f"class {name}(OpenEnum):", *_quoted(schema.get("description", name), "    "), "", *members]


def _member(value: str) -> str:
    text = re.sub(r"\W", "_", value).upper() or "EMPTY"
    return f"_{text}" if text[0].isdigit() else text


def _struct(name: str, schema: Schema, is_patch: bool) -> list[str]:
    lines = [f"class {name}(Struct, frozen=True, kw_only=True, omit_defaults=True):"]
    lines += [*_quoted(schema.get("description", f"{name}."), "    "), ""]
    required = set(schema.get("required", ()))
    properties: dict[str, Schema] = schema.get("properties", {})
    for key, one in properties.items():
        lines += _field(key, one, key in required, is_patch)
    if any(_is_secret(key, one) for key, one in properties.items()):
        hidden = ", ".join(f'"{_identifier(key)}"' for key, one in properties.items() if _is_secret(key, one))
        lines += ["", "    def __repr__(self) -> str:", f"        return shown(self, frozenset({{{hidden}}}))"]
    return lines


def _field(key: str, schema: Schema, required: bool, is_patch: bool) -> list[str]:
    name, kind = _identifier(key), type_of(schema)
    renamed = f'name="{key}"' if name != key else ""
    comment = [f"    # {line}" for line in textwrap.wrap(schema.get("description", ""), _WIDTH - 6)]
    if required:
        return [*comment, f"    {name}: {kind}" + (f" = field({renamed})" if renamed else "")]
    kind, default = (f"{kind} | UnsetType", "UNSET") if is_patch else _default(kind, schema)
    parts = [part for part in (default if "=" in default else f"default={default}", renamed) if part]
    value = default if not renamed and "=" not in default else f"field({', '.join(parts)})"
    return [*comment, f"    {name}: {kind} = {value}"]


def _default(kind: str, schema: Schema) -> tuple[str, str]:
    """Type and default of what need not be given: as MyX fills it in, for it is then not sent."""
    if schema.get("type") == "array":
        return kind, "default_factory=list"
    if schema.get("type") == "object":
        return kind, "default_factory=dict"
    if schema.get("default") is not None and "$ref" not in schema:
        return kind, _literal(schema["default"])
    return (kind, "None") if _nullable(schema) else (f"{kind} | UnsetType", "UNSET")


def _literal(value: Any) -> str:
    return json.dumps(value) if isinstance(value, str) else repr(value)


# --- operations


def _operations(document: Schema) -> Iterator[tuple[str, str, Schema]]:
    for path, verbs in document["paths"].items():
        for verb, operation in verbs.items():
            if path.startswith(_BASE + "/"):
                yield verb, path.removeprefix(_BASE), operation


def api_module(document: Schema) -> str:
    """A class per noun, a method per operation."""
    schemas = document["components"]["schemas"]
    groups: dict[str, list[str]] = {}
    streams: dict[str, str] = {}
    for verb, path, operation in _operations(document):
        noun, _, name = operation["operationId"].partition(".")
        answers = _contents(operation)
        if _EVENTS in answers:
            streams[operation["operationId"]] = path
        else:
            groups.setdefault(noun, []).extend(["", *_Method(name, verb, path, operation, schemas).lines()])
    lines = [
        '"""The operations of MyX. Generated from the OpenAPI document; do not edit."""',
        "",
        "from __future__ import annotations",
        "",
        "from collections.abc import AsyncIterator, Mapping, Sequence",
        "from datetime import datetime",
        "from typing import Any",
        "",
        "from msgspec import UNSET, UnsetType",
        "",
        "from myx_client import models",
        "from myx_client.pages import Pages",
        "from myx_client.transport import Content, Request, Transport, given, new_key, segment",
        "",
        "# Streams by operation: followed by `follow` and `events`.",
        "STREAMS = {",
        *(f'    "{name}": "{path}",' for name, path in streams.items()),
        "}",
    ]
    init = "    def __init__(self, transport: Transport) -> None:"
    for noun, methods in groups.items():
        lines += ["", "", f"class {_class(noun)}:", f'    """`{noun}.*`"""', ""]
        lines += [init, "        self._transport = transport", *methods]
    lines += ["", "", "class Api:", '    """All operations, by noun."""', "", init]
    lines += [f"        self.{noun} = {_class(noun)}(transport)" for noun in groups]
    return "\n".join([*lines, ""])


def _class(noun: str) -> str:
    return f"{noun.title().replace('_', '')}Api"


def _contents(operation: Schema) -> dict[str, Schema]:
    """Schemas of the answer to a success, by media type."""
    found: dict[str, Schema] = {}
    for status, response in operation["responses"].items():
        if status.startswith("2"):
            found |= {media: one.get("schema", {}) for media, one in response.get("content", {}).items()}
    return found


class _Method:
    """One operation as a method."""

    def __init__(self, name: str, verb: str, path: str, operation: Schema, schemas: dict[str, Schema]) -> None:
        self._name, self._verb, self._path, self._operation = _identifier(name), verb.upper(), path, operation
        self._schemas = schemas
        self._enums = {name for name, schema in schemas.items() if "enum" in schema}
        parameters = operation.get("parameters", [])
        self._headers = {one["name"].lower() for one in parameters if one["in"] == "header"}
        self._query = [one for one in parameters if one["in"] == "query"]
        self._in_path = [_identifier(one) for one in re.findall(r"{(\w+)}", path)]
        self._docs = {one["name"]: one.get("description") or one["schema"].get("description") for one in parameters}
        body = operation.get("requestBody", {})
        self._json = body.get("content", {}).get(_JSON, {}).get("schema")
        self._media = next((media for media in body.get("content", {}) if media != _JSON), "")
        self._body_is_required = bool(body.get("required"))
        self._taken = {*self._in_path, *(_identifier(one["name"]) for one in self._query)}

    def lines(self) -> list[str]:
        """The method."""
        answers = _contents(self._operation)
        schema = answers.get(_JSON)
        page = self._page(schema)
        if page is not None:
            return self._paged(*page)
        if schema is None and answers:
            body = ["        return self._transport.pieces(request)"]
            return [*self._head("def", "AsyncIterator[bytes]"), *self._request(), *body]
        if schema is None:
            return [*self._head("async def", "None"), *self._request(), "        await self._transport.done(request)"]
        kind = type_of(schema, "models.")
        answer = f"        return await self._transport.answer(request, {kind})"
        return [*self._head("async def", kind), *self._request(), answer]

    def _page(self, schema: Schema | None) -> tuple[str, str] | None:
        """Types of page and item, of an operation that answers in pages."""
        if schema is None or "$ref" not in schema or "page_token" not in self._taken:
            return None
        items = self._schemas[_name_of(schema)]["properties"]["items"]["items"]
        return type_of(schema, "models."), type_of(items, "models.")

    def _paged(self, page: str, item: str) -> list[str]:
        content = "lambda page: (page.items, page.next_page_token)"
        body = f"        return Pages(self._transport, request, {page}, {content})"
        return [*self._head("def", f"Pages[{page}, {item}]"), *self._request(), body]

    def _head(self, word: str, returns: str) -> list[str]:
        lines = [f"    {word} {self._name}(", "        self,"]
        if self._in_path:
            lines += [*(f"        {name}: str," for name in self._in_path), "        /,"]
        named = self._arguments()
        lines += ["        *,", *named] if named else []
        docs = "\n".join([self._said(), *self._documented()])
        return [*lines, f"    ) -> {returns}:", *_quoted(docs, "        ")]

    def _said(self) -> str:
        return str(self._operation.get("description") or self._operation.get("summary") or self._name)

    def _documented(self) -> list[str]:
        fields = [(name, one.get("description")) for name, one in self._fields().items()]
        told = [*((name, self._docs[name]) for name in self._docs if name.lower() not in self._headers), *fields]
        lines = [f"{_identifier(name)}: {text}" for name, text in told if text]
        return ["", *lines] if lines else []

    def _arguments(self) -> list[str]:
        lines = []
        if self._media:
            lines.append("        content: Content,")
        if self._json is not None and not self._fields():
            lines.append(f"        body: {argument_type(self._json, self._enums)},")
        lines += [
            self._argument(_identifier(one["name"]), one["schema"], bool(one.get("required"))) for one in self._query
        ]
        required = set(self._body().get("required", ())) if self._json is not None else set()
        lines += [self._argument(self._own(name), schema, name in required) for name, schema in self._fields().items()]
        if "if-match" in self._headers:
            lines.append("        if_match: str | None = None,")
        if "idempotency-key" in self._headers:
            lines.append("        idempotency_key: str | None = None,")
        return lines

    def _argument(self, name: str, schema: Schema, required: bool) -> str:
        kind = argument_type(schema, self._enums)
        return f"        {name}: {kind}," if required else f"        {name}: {kind} | UnsetType = UNSET,"

    def _own(self, name: str) -> str:
        text = _identifier(name)
        return f"{text}_" if text in self._taken else text

    def _body(self) -> Schema:
        """The schema of a JSON body, also of one that may be missing."""
        parts = [one for one in (self._json or {}).get("anyOf", [self._json or {}]) if one.get("type") != "null"]
        return self._schemas.get(_name_of(parts[0]), {}) if len(parts) == 1 and "$ref" in parts[0] else {}

    def _fields(self) -> dict[str, Schema]:
        fields: dict[str, Schema] = self._body().get("properties", {})
        return fields

    def _request(self) -> list[str]:
        path = re.sub(r"{(\w+)}", lambda found: f"{{segment({_identifier(found[1])})}}", self._path)
        parts = [f'"{self._verb}",', f'f"{path}",' if self._in_path else f'"{path}",']
        if self._query:
            parts += _given("query", ((one["name"], _identifier(one["name"])) for one in self._query), "")
        if self._fields():
            pairs = ((name, self._own(name)) for name in self._fields())
            parts += _given("body", pairs, "" if self._body_is_required else " or None")
        elif self._json is not None:
            parts.append("body=body,")
        if self._media:
            parts += ["content=content,", f'media_type="{self._media}",']
        if "if-match" in self._headers:
            parts.append("if_match=if_match,")
        if "idempotency-key" in self._headers:
            parts.append("idempotency_key=idempotency_key or new_key(),")
        return ["        request = Request(", *(f"            {part}" for part in parts), "        )"]


def _given(name: str, pairs: Iterable[tuple[str, str]], behind: str) -> list[str]:
    """An argument that holds what was given."""
    items = [f'"{key}": {argument}' for key, argument in pairs]
    line = f"{name}=given({{{', '.join(items)}}}){behind},"
    if len(line) <= _WIDTH - 12:
        return [line]
    return [f"{name}=given(", "    {", *(f"        {item}," for item in items), "    }", f"){behind},"]


if __name__ == "__main__":
    generate()
