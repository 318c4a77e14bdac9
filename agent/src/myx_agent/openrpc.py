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
_TEXTS = {"type": "array", "items": {"type": "string"}}
_SHA256 = {"type": "string", "pattern": "^[0-9a-f]{64}$"}


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
        "Terminate a command's process tree, after `grace` seconds kill it; `forbid`: an unknown one never starts.",
        {"command_id": (_ID, True), "grace": (_SECONDS, False), "forbid": (_FLAG, False)},
        _object(command_id=_ID, state={"enum": [*_STATE["enum"], "forbidden"]}),
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
    "execute_ansible": (
        "Run a playbook of the deployment tool, or of a pushed project, on this host; otherwise as execute_command.",
        {
            "playbook": (_TEXT, True),
            "command_id": (_ID, True),
            "project": (_TEXT_OR_NULL, False),
            "tool_digest": (_TEXT_OR_NULL, False),
            "extra_vars": (_ANY_OBJECT, False),
            "secret_vars": (_ANY_OBJECT, False),
            "trusted_vars": (_ANY_OBJECT, False),
            "check": (_FLAG, False),
            "diff": (_FLAG, False),
            "tags": (_TEXTS, False),
            "skip_tags": (_TEXTS, False),
            "limit": (_TEXT_OR_NULL, False),
            "timeout": (_SECONDS, False),
            "no_output_timeout": (_SECONDS, False),
        },
        _object(status=_STATE, command_id=_ID, existing=_FLAG),
    ),
    "get_playbook_events": (
        "Progress events of a playbook run after `seq`; with `wait` as soon as there is one.",
        {"command_id": (_ID, True), "seq": (_COUNT, False), "wait": ({"type": "number", "minimum": 0}, False)},
        _object(events={"type": "array", "items": _ANY_OBJECT}, is_final=_FLAG),
    ),
    "put_file": (
        "One piece of a file or archive; it is in its place only when `final` came and the digest is right.",
        {
            "upload_id": (_ID, True),
            "root": ({"enum": ["deployment-tool", "agent-staging", "files"]}, True),
            "path": (_TEXT, True),
            "size": (_COUNT, True),
            "sha256": (_SHA256, True),
            "offset": (_COUNT, False),
            "data": ({"type": "string", "contentEncoding": "base64"}, False),
            "final": (_FLAG, False),
            "mode": ({"type": "integer", "minimum": 0, "maximum": 0o777}, False),
            "extract": (_FLAG, False),
        },
        _object(received=_COUNT, done=_FLAG),
    ),
    "rotate_credentials": (
        "Take a new token, key and certificate beside those of the caller.",
        {
            "rotation_id": (_ID, True),
            "agent_token": (_TEXT, True),
            "secret_key": (_TEXT, True),
            "certificate_pem": (_TEXT, True),
            "private_key_pem": (_TEXT, True),
        },
        _object(rotation_id=_ID, certificate_sha256=_SHA256),
    ),
    "finish_rotation": (
        "Forget the old token and key; only with the new ones.",
        {"rotation_id": (_ID, True)},
        _object(rotation_id=_ID, finished=_FLAG),
    ),
    "get_upgrade": ("What became of an upgrade of this agent.", {"upgrade_id": (_ID, True)}, _ANY_OBJECT),
    "confirm_upgrade": (
        "The new release may stay; without this word in time the old one comes back.",
        {"upgrade_id": (_ID, True)},
        _ANY_OBJECT,
    ),
    "rpc.discover": ("This description.", {}, _ANY_OBJECT),
}

ERRORS = [
    {"code": -32001, "message": "command_id conflict: other arguments, or released"},
    {"code": -32002, "message": "no such command"},
    {"code": -32003, "message": "the offset is beyond the end of the log (data.end)"},
    {"code": -32004, "message": "refused: a limit, or the command's state"},
    {"code": -32005, "message": "a command cannot be started now (data.retryable)"},
    {"code": -32006, "message": "the deployment tool or project is not here with this digest (data.current)"},
    {"code": -32007, "message": "Ansible is not installed here"},
    {"code": -32008, "message": "no such playbook"},
    {"code": -32009, "message": "no such upgrade"},
    {"code": -32010, "message": "the upload goes on at another offset (data.received)"},
    {"code": -32011, "message": "upload_id conflict: another file"},
    {"code": -32012, "message": "too many unfinished uploads (data.retryable)"},
    {"code": -32013, "message": "the host cannot store it, most likely for want of room (data.retryable)"},
    {"code": -32014, "message": "what was uploaded has another digest; it was dropped"},
    {"code": -32015, "message": "the archive is not taken"},
    {"code": -32016, "message": "the upgrade cannot be confirmed (data.retryable)"},
    {"code": -32017, "message": "no such rotation, other credentials, or not the new token"},
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
