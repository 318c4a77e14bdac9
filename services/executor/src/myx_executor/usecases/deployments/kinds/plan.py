"""The steps of each kind."""

from collections.abc import Callable, Mapping, Sequence

from myx_executor.domain.deployment import Kind, Method
from myx_executor.usecases.deployments.action import Action
from myx_executor.usecases.deployments.kinds import install, play, repair, rotate, uninstall, upgrade
from myx_executor.usecases.deployments.run import Run

_KINDS: Mapping[Kind, Callable[[Run], Sequence[Action]]] = {
    Kind.INSTALL_AGENT: install.actions,
    Kind.REPAIR_AGENT: repair.actions,
    Kind.UNINSTALL_AGENT: uninstall.actions,
    Kind.UPGRADE_AGENT: upgrade.actions,
    Kind.ROTATE_AGENT: rotate.actions,
}


def actions_of(run: Run) -> Sequence[Action]:
    """All steps as far as they are known: the way is chosen first, and then says which ones follow."""
    return _KINDS.get(run.deployment.plan.kind, play.actions)(run)


def known_at_start(kind: Kind, method: Method) -> Sequence[tuple[str, str]]:
    """Names and titles of the steps that a new deployment is shown with."""
    if kind is Kind.REPAIR_AGENT:
        return [(action.name, action.title) for action in (repair.DIAGNOSE, *install.STEPS)]
    if kind is Kind.INSTALL_AGENT:
        return [(action.name, action.title) for action in install.STEPS]
    if kind is Kind.UNINSTALL_AGENT:
        return [(action.name, action.title) for action in uninstall.STEPS]
    if kind is Kind.ROTATE_AGENT:
        return [(action.name, action.title) for action in rotate.STEPS]
    return [(play.CHOOSE.name, play.CHOOSE.title)]
