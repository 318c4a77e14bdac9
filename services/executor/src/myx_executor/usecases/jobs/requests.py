"""Requests for jobs as they come, and what they may say."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from myx_executor.domain.jobs import MAX_NAME, MAX_TARGETS, JobOptions, check_options
from myx_executor.usecases.deployments import checks
from myx_executor.usecases.deployments.checks import CreateRequest, is_sha256
from myx_executor.usecases.jobs.work import WorkRequest
from myx_executor.usecases.run_command import MAX_REQUEST_ID, RunRequest
from myx_executor.usecases.run_command import check as check_command
from myx_kit.errors import InvalidArgument

MAX_SELECTOR = 16_384
# A batch of commands carries it once for each target.
MAX_STDIN_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class JobRequest:
    """A job to be made on what `selector` matches or on `servers` (ids or names); one of both is given."""

    work: WorkRequest
    name: str = ""
    selector: str = ""
    servers: Sequence[str] = ()
    options: JobOptions = field(default_factory=JobOptions)
    expected_targets_sha256: str = ""
    request_id: str = ""
    requested_by: str = ""
    schedule_id: UUID | None = None


def check(request: JobRequest) -> None:
    """InvalidArgument with the field for the first thing that is wrong."""
    if len(request.name) > MAX_NAME or not request.name.isprintable():
        message = f"name may have {MAX_NAME} printable characters"
        raise InvalidArgument("ARGUMENT_INVALID", message, field="name")
    check_request_id(request.request_id)
    check_selection(request.selector, request.servers)
    expected = request.expected_targets_sha256
    if expected and not is_sha256(expected):
        message = "expected_targets_sha256 must be a SHA-256 in lower-case hex, as PreviewJob gives it"
        raise InvalidArgument("ARGUMENT_INVALID", message, field="expected_targets_sha256")
    check_options(request.options)
    check_work(request.work)


def check_request_id(request_id: str) -> None:
    """InvalidArgument unless it can be one."""
    if len(request_id) > MAX_REQUEST_ID or "\0" in request_id:
        message = f"request_id must not be longer than {MAX_REQUEST_ID} characters"
        raise InvalidArgument("ARGUMENT_INVALID", message, field="request_id")


def check_selection(selector: str, servers: Sequence[str]) -> None:
    """InvalidArgument unless exactly one of both is given."""
    if bool(selector.strip()) == bool(servers):
        message = "give a selector or a list of servers, one of both; `all` selects every server"
        raise InvalidArgument("SELECTOR_INVALID", message, field="selector")
    if len(selector) > MAX_SELECTOR:
        message = f"a selector may have {MAX_SELECTOR} characters"
        raise InvalidArgument("SELECTOR_INVALID", message, field="selector")
    if len(servers) > MAX_TARGETS or not all(servers):
        message = f"servers may name {MAX_TARGETS} servers, none of them empty"
        raise InvalidArgument("ARGUMENT_INVALID", message, field="servers")


def check_work(work: WorkRequest) -> None:
    """As RunCommand and CreateDeployment check it, for a server that is not known yet."""
    for name in ("server", "request_id", "requested_by"):
        if getattr(work, name):
            message = f"{name} must be empty in the work of a job: the job gives it"
            raise InvalidArgument("ARGUMENT_INVALID", message, field=f"work.{name}")
    if isinstance(work, CreateRequest):
        checks.check(replace(work, server="any"))
        return
    check_command(replace(work, server="any"))
    if len(work.stdin) > MAX_STDIN_BYTES:
        message = f"stdin of a job must not be larger than {MAX_STDIN_BYTES} bytes: put a file there instead"
        raise InvalidArgument("REQUEST_TOO_LARGE", message, field="stdin")


def content(request: JobRequest, spec: dict[str, object], secrets: dict[str, str]) -> dict[str, object]:
    """What makes two requests the same."""
    return {
        "job": request.name,
        "selector": request.selector,
        "servers": list(request.servers),
        "kind": "command" if isinstance(request.work, RunRequest) else "deployment",
        "spec": spec,
        "secrets": secrets,
        "expected": request.expected_targets_sha256,
    }
