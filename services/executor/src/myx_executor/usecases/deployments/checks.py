"""What a request for a deployment may say; each refusal names the field."""

import json
import keyword
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from myx_executor.domain.command import LockMode, OfflinePolicy
from myx_executor.domain.deployment import AGENT_KINDS, ONLY_METHOD, PLAYBOOKS, SHIPPED, Kind, Method
from myx_executor.usecases.run_command import check_limit, check_waits
from myx_kit.errors import InvalidArgument

MAX_REQUEST_ID = 200
MAX_VARS_BYTES = 256 * 1024
MAX_TAGS = 100
MAX_TIMEOUT_S = 86_400.0
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_PLAYBOOK = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9_.-]{0,99}/){0,4}[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}\.ya?ml")
_TAG = re.compile(r"[A-Za-z0-9_.:@-]{1,100}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
# Ansible's own names (run_play.py refuses them too).
_MAGIC = frozenset(
    (
        "hostvars",
        "group_names",
        "groups",
        "inventory_hostname",
        "inventory_hostname_short",
        "inventory_dir",
        "inventory_file",
        "omit",
        "playbook_dir",
        "play_hosts",
        "role_name",
        "role_names",
        "role_path",
        "vars",
        "environment",
        "lookup",
        "query",
        "q",
        "ansible",
        "item",
        "namespace",
        "undef",
        "connection",
        "port",
        "remote_user",
        "delegate_to",
        "no_log",
        "artifact_path",
        "myx_index_url",
    )
)
_OF_AGENTS = frozenset(PLAYBOOKS[kind] for kind in AGENT_KINDS if kind in PLAYBOOKS)


@dataclass(frozen=True, slots=True)
class CreateRequest:
    """A request as it came; `timeout_s` None: the default; `no_output_timeout_s` None or 0: none; the kind as text."""

    server: str
    kind: str
    method: Method = Method.AUTO
    project: str = ""
    playbook: str = ""
    extra_vars: Mapping[str, Any] = field(default_factory=dict)
    secret_vars: Mapping[str, str] = field(default_factory=dict, repr=False)
    check: bool = False
    diff: bool = False
    tags: tuple[str, ...] = ()
    skip_tags: tuple[str, ...] = ()
    limit: str = ""
    timeout_s: float | None = None
    no_output_timeout_s: float | None = None
    force: bool = False
    new_port: bool = False
    new_path: bool = False
    artifact_sha256: str = ""
    request_id: str = ""
    requested_by: str = ""
    retry_of: UUID | None = None
    offline: OfflinePolicy = OfflinePolicy.FAIL
    # None: the default.
    queue_timeout_s: float | None = None
    lock: LockMode = LockMode.NONE
    schedule_id: UUID | None = None
    # The job that it belongs to, and the id that was reserved for it there.
    job_id: UUID | None = None
    deployment_id: UUID | None = None


def check(request: CreateRequest) -> Kind:
    """The kind; InvalidArgument with the field for the first thing that is wrong."""
    if not request.server or "\0" in request.server:
        raise InvalidArgument("ARGUMENT_INVALID", "server must not be empty", field="server")
    if len(request.request_id) > MAX_REQUEST_ID or "\0" in request.request_id:
        message = f"request_id must not be longer than {MAX_REQUEST_ID} characters"
        raise InvalidArgument("ARGUMENT_INVALID", message, field="request_id")
    try:
        kind = Kind(request.kind)
    except ValueError:
        message = f"kind must be one of {', '.join(Kind)}"
        raise InvalidArgument("KIND_INVALID", message, field="kind") from None
    _check_method(kind, request.method)
    _check_playbook(kind, request)
    _check_vars(kind, request)
    _check_selection(kind, request)
    _check_flags(kind, request)
    return kind


def check_name(name: str, reason: str, what: str) -> None:
    """InvalidArgument unless it is a project's name."""
    if not _NAME.fullmatch(name):
        message = f"{what} must have 1 to 63 characters of a-z, 0-9, '-', '_' and '.', a letter or digit first"
        raise InvalidArgument(reason, message, field="name")


def is_sha256(text: str) -> bool:
    """Whether it is a digest in lower-case hex."""
    return _SHA256.fullmatch(text) is not None


def _check_method(kind: Kind, method: Method) -> None:
    only = ONLY_METHOD.get(kind)
    if only is not None and method not in (Method.AUTO, only):
        way = "over SSH" if only is Method.SSH else "by the agent"
        raise InvalidArgument("METHOD_INVALID", f"{kind} works {way} only", field="method")


def _check_playbook(kind: Kind, request: CreateRequest) -> None:
    if kind is not Kind.PLAYBOOK:
        for name in ("project", "playbook"):
            if getattr(request, name):
                message = f"{name} belongs to kind playbook; {kind} has its own"
                raise InvalidArgument("PLAYBOOK_INVALID", message, field=name)
        return
    if not _PLAYBOOK.fullmatch(request.playbook):
        message = "playbook must be the name of a .yml file below the project's playbooks folder"
        raise InvalidArgument("PLAYBOOK_INVALID", message, field="playbook")
    if request.project and not _NAME.fullmatch(request.project):
        raise InvalidArgument("PLAYBOOK_INVALID", "there can be no project of that name", field="project")
    if request.project in ("", SHIPPED) and request.playbook in _OF_AGENTS:
        message = "this playbook changes the agent: use the kind install_agent, upgrade_agent or uninstall_agent"
        raise InvalidArgument("PLAYBOOK_INVALID", message, field="playbook")


def _check_vars(kind: Kind, request: CreateRequest) -> None:
    given = (("extra_vars", request.extra_vars), ("secret_vars", request.secret_vars))
    for field_name, variables in given:
        if variables and kind in AGENT_KINDS:
            raise InvalidArgument("VARS_INVALID", f"{kind} takes no variables", field=field_name)
        for name in variables:
            if not name.isidentifier() or not name.isascii() or keyword.iskeyword(name):
                message = f"{name[:60]!r} is not a name for a variable"
                raise InvalidArgument("VARS_INVALID", message, field=field_name)
            if name.startswith("ansible_") or name in _MAGIC:
                message = f"{name} belongs to Ansible or to MyX and cannot be set"
                raise InvalidArgument("VARS_INVALID", message, field=field_name)
        try:
            text = json.dumps(dict(variables), allow_nan=False)
        except ValueError:
            message = f"{field_name} must be data that JSON can carry"
            raise InvalidArgument("VARS_INVALID", message, field=field_name) from None
        if len(text) > MAX_VARS_BYTES or "\\u0000" in text:
            message = f"{field_name} may have {MAX_VARS_BYTES} bytes, none of them NUL"
            raise InvalidArgument("VARS_INVALID", message, field=field_name)
    if not request.extra_vars.keys().isdisjoint(request.secret_vars):
        raise InvalidArgument("VARS_INVALID", "a variable is both in extra_vars and secret_vars", field="secret_vars")


def _check_selection(kind: Kind, request: CreateRequest) -> None:
    for name, tags in (("tags", request.tags), ("skip_tags", request.skip_tags)):
        if tags and kind in AGENT_KINDS:
            raise InvalidArgument("ARGUMENT_INVALID", f"{kind} takes no tags", field=name)
        if len(tags) > MAX_TAGS or not all(_TAG.fullmatch(tag) and not tag.startswith("-") for tag in tags):
            message = f"{name}: at most {MAX_TAGS} tags of letters, digits and '_.:@-'"
            raise InvalidArgument("ARGUMENT_INVALID", message, field=name)
    limit = request.limit
    if len(limit) > 500 or not limit.isprintable() or limit.startswith(("-", "@")) or (limit and kind in AGENT_KINDS):
        raise InvalidArgument("ARGUMENT_INVALID", "limit must be a pattern of hosts", field="limit")


def _check_flags(kind: Kind, request: CreateRequest) -> None:
    if kind in AGENT_KINDS:
        for name in ("check", "diff", "artifact_sha256"):
            if getattr(request, name):
                raise InvalidArgument("ARGUMENT_INVALID", f"{kind} has no {name}", field=name)
        if request.no_output_timeout_s:
            # Much of it is silent by nature: files are sent, a release is built.
            message = f"{kind} has no no_output_timeout"
            raise InvalidArgument("ARGUMENT_INVALID", message, field="no_output_timeout")
    for name in ("new_port", "new_path"):
        if getattr(request, name) and kind is not Kind.INSTALL_AGENT:
            raise InvalidArgument("ARGUMENT_INVALID", f"{name} belongs to kind install_agent", field=name)
    if request.artifact_sha256 and not is_sha256(request.artifact_sha256):
        message = "artifact_sha256 must be a SHA-256 in lower-case hex"
        raise InvalidArgument("ARGUMENT_INVALID", message, field="artifact_sha256")
    timeout_s = request.timeout_s
    if timeout_s is not None and not (math.isfinite(timeout_s) and 0 < timeout_s <= MAX_TIMEOUT_S):
        message = f"timeout must be more than 0 and at most {MAX_TIMEOUT_S:.0f} seconds"
        raise InvalidArgument("TIMEOUT_INVALID", message, field="timeout")
    check_limit("no_output_timeout", request.no_output_timeout_s)
    check_waits(request.queue_timeout_s, None)
