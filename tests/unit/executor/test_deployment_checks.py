"""What a request for a deployment may say."""

import pytest

from myx_executor.domain.deployment import Kind, Method
from myx_executor.usecases.deployments.checks import CreateRequest, check
from myx_kit.errors import InvalidArgument


def request(**changes):
    return CreateRequest(**{"server": "web", "kind": "playbook", "playbook": "site.yml"} | changes)


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_is_taken_with_nothing_but_its_server(kind):
    own = "site.yml" if kind is Kind.PLAYBOOK else ""
    assert check(request(kind=str(kind), playbook=own)) is kind


@pytest.mark.parametrize("playbook", ["site.yml", "web/site.yaml", "a_b-c.1.yml"])
def test_playbooks_are_files_below_their_folder(playbook):
    assert check(request(playbook=playbook)) is Kind.PLAYBOOK


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"server": ""}, "ARGUMENT_INVALID", "server"),
        ({"kind": ""}, "KIND_INVALID", "kind"),
        ({"playbook": ""}, "PLAYBOOK_INVALID", "playbook"),
        ({"playbook": "/etc/x.yml"}, "PLAYBOOK_INVALID", "playbook"),
        ({"playbook": "a/../../x.yml"}, "PLAYBOOK_INVALID", "playbook"),
        ({"playbook": "-x.yml"}, "PLAYBOOK_INVALID", "playbook"),
        ({"playbook": "x.sh"}, "PLAYBOOK_INVALID", "playbook"),
        ({"playbook": "upgrade_agent.yml"}, "PLAYBOOK_INVALID", "playbook"),
        ({"project": "No Such"}, "PLAYBOOK_INVALID", "project"),
        ({"extra_vars": {"a-b": 1}}, "VARS_INVALID", "extra_vars"),
        ({"extra_vars": {"hostvars": 1}}, "VARS_INVALID", "extra_vars"),
        ({"extra_vars": {"artifact_path": "/"}}, "VARS_INVALID", "extra_vars"),
        ({"extra_vars": {"a": float("nan")}}, "VARS_INVALID", "extra_vars"),
        ({"extra_vars": {"a": "x" * 300_000}}, "VARS_INVALID", "extra_vars"),
        ({"extra_vars": {"a": ["\0"]}}, "VARS_INVALID", "extra_vars"),
        ({"secret_vars": {"ansible_password": "x"}}, "VARS_INVALID", "secret_vars"),
        ({"kind": "rotate_agent", "playbook": "", "secret_vars": {"a": "x"}}, "VARS_INVALID", "secret_vars"),
        ({"kind": "install_agent", "playbook": "", "check": True}, "ARGUMENT_INVALID", "check"),
        ({"kind": "rotate_agent", "playbook": "", "method": Method.SSH}, "METHOD_INVALID", "method"),
        ({"new_port": True}, "ARGUMENT_INVALID", "new_port"),
        ({"skip_tags": ("a,b",)}, "ARGUMENT_INVALID", "skip_tags"),
        ({"limit": "-i"}, "ARGUMENT_INVALID", "limit"),
        ({"artifact_sha256": "A" * 64}, "ARGUMENT_INVALID", "artifact_sha256"),
        ({"timeout_s": float("inf")}, "TIMEOUT_INVALID", "timeout"),
        ({"timeout_s": 86_401}, "TIMEOUT_INVALID", "timeout"),
        ({"no_output_timeout_s": -1}, "TIMEOUT_INVALID", "no_output_timeout"),
        (
            {"kind": "upgrade_agent", "playbook": "", "no_output_timeout_s": 60},
            "ARGUMENT_INVALID",
            "no_output_timeout",
        ),
        ({"request_id": "x" * 201}, "ARGUMENT_INVALID", "request_id"),
    ],
)
def test_what_is_wrong_is_said_with_its_field(changes, reason, field):
    with pytest.raises(InvalidArgument) as error:
        check(request(**changes))
    assert (error.value.reason, error.value.fields["field"]) == (reason, field)
