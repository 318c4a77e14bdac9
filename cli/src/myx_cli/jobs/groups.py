"""Targets that ended alike, told once."""

from collections.abc import Iterable
from typing import NamedTuple

from myx_cli.api import Document
from myx_cli.jobs.states import target_sentence
from myx_cli.jobs.statuses import TARGET_STATUSES
from myx_cli.text import clean

_Key = tuple[int, str, str]


class Group(NamedTuple):
    """Targets with the same state, the same end and the same output, by number."""

    status: str
    sentence: str
    targets: list[Document]

    @property
    def names(self) -> list[str]:
        """Of the servers."""
        return [clean(target.get("server_name")) for target in self.targets]


def groups(targets: Iterable[Document]) -> list[Group]:
    """Failures first, then those out of reach and those that were not run, successes last; large groups first."""
    found: dict[_Key, Group] = {}
    for target in sorted(targets, key=lambda item: int(item["number"])):
        status = str(target.get("status"))
        sentence = target_sentence(target)
        group = found.setdefault((_rank(status), sentence, _output(target)), Group(status, sentence, []))
        group.targets.append(target)
    return [found[key] for key in sorted(found, key=lambda key: (key[0], -len(found[key].targets)))]


def names_line(names: list[str], most: int) -> str:
    """`web1, web2, +10`."""
    if len(names) <= most + 1:
        return ", ".join(names)
    return ", ".join([*names[:most], f"+{len(names) - most}"])


def _output(target: Document) -> str:
    """The same for the same output."""
    if not target.get("log_size_bytes"):
        return ""
    return str(target.get("output_sha256") or target["number"])


def _rank(status: str) -> int:
    return TARGET_STATUSES.index(status) if status in TARGET_STATUSES else 0
