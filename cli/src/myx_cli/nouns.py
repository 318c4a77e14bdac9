"""What has an end: commands, deployments and jobs, with the words that lead to them."""

from typing import NamedTuple


class Noun(NamedTuple):
    """`path` is below /api/v1; the others are what people type."""

    word: str
    path: str
    follow: str
    show: str
    cancel: str
    list: str


COMMAND = Noun("command", "/commands", "myx logs -f", "myx command show", "myx command cancel", "myx command list")
DEPLOYMENT = Noun(
    "deployment",
    "/deployments",
    "myx deployment logs -f",
    "myx deployment show",
    "myx deployment cancel",
    "myx deployment list",
)
JOB = Noun("job", "/jobs", "myx job follow", "myx job show", "myx job cancel", "myx job list")
