"""Options of `myx playbook …` and `myx artifact …`."""

from argparse import ArgumentParser


def push(parser: ArgumentParser) -> None:
    """`myx playbook push`."""
    parser.add_argument("folder", metavar="FOLDER", help="folder with playbooks/*.yml and what they need")
    parser.add_argument("--name", metavar="NAME", help="name of the project (that of the folder)")


def remove(parser: ArgumentParser) -> None:
    """`myx playbook remove`."""
    parser.add_argument("project", metavar="PROJECT", help="name of a pushed project")


def artifact_push(parser: ArgumentParser) -> None:
    """`myx artifact push`."""
    parser.add_argument("file", metavar="FILE", help="the file")
    parser.add_argument("--name", metavar="NAME", help="what to call it (the file's name)")


def artifact_remove(parser: ArgumentParser) -> None:
    """`myx artifact remove`."""
    parser.add_argument("sha256", metavar="SHA256", help="as myx artifact list shows it; its beginning is enough")
