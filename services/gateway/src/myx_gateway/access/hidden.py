"""Nothing tells what somebody may not see from what does not exist: the very words of the services behind."""

from myx_kit.errors import NotFound


def server(reference: str) -> NotFound:
    """As the registry says it."""
    return NotFound("SERVER_NOT_FOUND", "There is no server of this id or name.", server=reference[:80])


def command(command_id: str) -> NotFound:
    """As the executor says it."""
    return NotFound("COMMAND_NOT_FOUND", f"there is no command {command_id}", command_id=command_id)


def deployment(deployment_id: str) -> NotFound:
    """As the executor says it."""
    return NotFound("DEPLOYMENT_NOT_FOUND", "there is no such deployment", deployment_id=deployment_id[:64])


def job(job_id: str) -> NotFound:
    """As the executor says it."""
    return NotFound("JOB_NOT_FOUND", "there is no such job", job_id=job_id[:64])


def schedule(reference: str) -> NotFound:
    """As the executor says it."""
    return NotFound("SCHEDULE_NOT_FOUND", "There is no schedule of this id or name.", schedule=reference[:80])
