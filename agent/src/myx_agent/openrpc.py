"""The OpenRPC description that rpc.discover answers. The table of methods is here; their parameters follow it."""

from typing import Any

_TEXT = {"type": "string"}
_NUMBER = {"type": "number"}
_COUNT = {"type": "integer", "minimum": 0}
_FLAG = {"type": "boolean"}
_MAP = {"type": "object", "additionalProperties": {"type": "string"}}
_ID = {"type": "string", "pattern": "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$"}
_TEXT_OR_NULL = {"type": ["string", "null"]}
_SECONDS = {"type": ["number", "null"], "minimum": 0}
_ANY_OBJECT = {"type": "object"}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": sorted(properties)}


_RESULT = _object(
    success=_FLAG,
    return_code={"type": ["integer", "null"]},
    signal=_TEXT_OR_NULL,
    reason={
        "enum": [
            "exited", "signaled", "timeout", "no_output_timeout", "cancelled", "spawn_failed", "lost", "unknown",
        ]
    },
    message=_TEXT_OR_NULL,
    started_at=_TEXT_OR_NULL,
    ended_at=_TEXT_OR_NULL,
    stdout=_object(bytes=_COUNT, sha256=_TEXT, dropped=_COUNT),
    stderr=_object(bytes=_COUNT, sha256=_TEXT, dropped=_COUNT),
    tree_gone=_FLAG,
    log_size=_COUNT,
)  # fmt: skip
_STATE = {"enum": ["running", "finished", "lost", "unknown"]}

# name: (summary, {parameter: (schema, required)}, result schema); positional order is the order here
METHODS: dict[str, tuple[str, dict[str, tuple[Any, bool]], Any]] = {
    "health_check": ("The agent works.", {}, _object(status=_TEXT, version=_TEXT, uptime=_NUMBER)),
    "heartbeat": (
        "The agent works, and how many commands run.",
        {"timestamp": ({"type": ["number", "null"]}, False)},
        _object(status=_TEXT, timestamp=_NUMBER, version=_TEXT, running_commands=_COUNT),
    ),
    "get_status": ("Facts of the host and the agent.", {}, _ANY_OBJECT),
    "get_port": ("The port that the agent listens on.", {}, _object(rpc_port=_COUNT)),
    "execute_command": (
        "Start a program, without a shell. Sent again with the same command_id it never runs twice.",
        {
            "command": (_TEXT, True),
            "command_id": (_ID, True),
            "args": ({"type": "array", "items": _TEXT}, False),
            "timeout": (_SECONDS, False),
            "env": (_MAP, False),
            "cwd": (_TEXT_OR_NULL, False),
            "user": (_TEXT_OR_NULL, False),
            "stdin": ({"type": ["string", "null"], "contentEncoding": "base64"}, False),
            "no_output_timeout": (_SECONDS, False),
            "secret_env": (_MAP, False),
        },
        _object(status=_STATE, command_id=_ID, existing=_FLAG),
    ),
    "get_command_log": (
        "One run of one stream from an offset of the interleaved log; with `wait` as soon as there is a byte.",
        {
            "command_id": (_ID, True),
            "offset": (_COUNT, False),
            "wait": ({"type": "number", "minimum": 0}, False),
            "max_bytes": ({"type": "integer", "minimum": 1}, False),
            "until": ({"enum": ["byte", "final"]}, False),
        },
        _object(
            log_data=_TEXT,
            log_type={"enum": ["stdout", "stderr"]},
            new_offset=_COUNT,
            is_final=_FLAG,
            result={"anyOf": [_RESULT, {"type": "null"}]},
        ),
    ),
    "cancel_command": (
        "Terminate a command's process tree, after `grace` seconds kill it.",
        {"command_id": (_ID, True), "grace": (_SECONDS, False)},
        _object(command_id=_ID, state=_STATE),
    ),
    "list_commands": (
        "What runs and what is still kept.",
        {},
        _object(commands={"type": "array", "items": _ANY_OBJECT}),
    ),
    "release_command": (
        "Drop the spool of a finished command.",
        {"command_id": (_ID, True)},
        _object(command_id=_ID, released=_FLAG),
    ),
    "rpc.discover": ("This description.", {}, _ANY_OBJECT),
}

ERRORS = [
    {"code": -32001, "message": "command_id conflict: other arguments, or released"},
    {"code": -32002, "message": "no such command"},
    {"code": -32003, "message": "the offset is beyond the end of the log (data.end)"},
    {"code": -32004, "message": "refused: a limit, or the command's state"},
    {"code": -32005, "message": "a command cannot be started now (data.retryable)"},
]


def document(version: str) -> dict[str, Any]:
    """An OpenRPC 1.3 document."""
    return {
        "openrpc": "1.3.2",
        "info": {"title": "MyX agent", "version": version},
        "methods": [
            {
                "name": name,
                "summary": summary,
                "paramStructure": "either",
                "params": [
                    {"name": parameter, "required": required, "schema": schema}
                    for parameter, (schema, required) in params.items()
                ],
                "result": {"name": "result", "schema": result},
                "errors": ERRORS,
            }
            for name, (summary, params, result) in METHODS.items()
        ],
    }
