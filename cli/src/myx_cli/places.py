"""Places of files as people write them."""

from pathlib import Path

from myx_cli.errors import UsageError
from myx_cli.text import clean


def expanded(path: str) -> Path:
    """`path` with the home folder for `~` or `~NAME`. UsageError: nobody is called so."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise UsageError(f"{clean(path)}: there is no user of this name, or none with a home folder") from None
