"""A step as something to do."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from myx_executor.usecases.deployments.run import Run


@dataclass(frozen=True, slots=True)
class Action:
    """What a step does; it answers with what happened, as a sentence (or nothing).

    It raises StepFailed, StepSkipped, StepCancelled. It may run again after a replica died in its midst. `in_one_go`:
    it is not broken off when the end of the deployment is asked for, but looks at that wish itself, or not at all.
    """

    name: str
    title: str
    do: Callable[[Run], Awaitable[str]]
    in_one_go: bool = False
