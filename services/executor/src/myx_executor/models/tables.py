"""All tables, for migrations and checks: importing this module fills the metadata."""

from myx_executor.models import commands, deployments, files, jobs, schedules
from myx_executor.models.base import metadata

MODULES = (commands, deployments, files, jobs, schedules)
METADATA = metadata
