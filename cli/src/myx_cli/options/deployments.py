"""Options of what deploys: `myx deploy`, `myx playbook run`, `myx agent …`, `myx server enrol`, `myx deployment …`."""

from argparse import ArgumentParser, _ArgumentGroup

from myx_cli.options.commands import add_log, add_silence
from myx_cli.options.jobs import add_job, add_queueing, add_targets
from myx_cli.options.patience import add_patience
from myx_cli.options.types import limit, positive, secret
from myx_cli.outcome import STATUSES

KINDS = ("xray", "xray_docker", "xray_config", "caddy")


def _watching(parser: ArgumentParser) -> None:
    parser.add_argument("--timeout", type=limit, metavar="TIME", help="end it after 90, 5m, 2h … (1h)")
    parser.add_argument("--detach", "-d", action="store_true", help="start it, print its id, and leave")
    add_patience(parser)


def _method(parser: "ArgumentParser | _ArgumentGroup") -> None:
    parser.add_argument(
        "--method", choices=("auto", "ssh", "agent"), help="by which way (auto: by the agent when it is online)"
    )


def _many(parser: ArgumentParser, *, waits: bool = True) -> None:
    """SERVER… or -l; `waits`: it may need the agent, and so wait for it."""
    add_targets(parser)
    add_job(parser)
    if waits:
        add_queueing(parser, commands=False)


def add_play(parser: "ArgumentParser | _ArgumentGroup", names: tuple[str, ...]) -> None:
    """What a play is given; `names` are those of the option for its variables."""
    parser.add_argument(*names, action="append", default=[], metavar="K=V|@FILE", help="variables; @FILE: YAML or JSON")
    parser.add_argument(
        "--secret", action="append", type=secret, default=[], metavar="K=@FILE|K", help="a variable that is hidden"
    )
    parser.add_argument("--check", action="store_true", help="say what would change, change nothing")
    parser.add_argument("--diff", action="store_true", help="show what changes in files")
    parser.add_argument("--tags", action="append", default=[], metavar="TAG,…", help="only tasks with these tags")
    parser.add_argument("--skip-tags", action="append", default=[], metavar="TAG,…", help="without tasks of these tags")
    parser.add_argument("--limit", metavar="PATTERN", help="Ansible's --limit")
    parser.add_argument("--artifact", metavar="FILE", help="put this file on the host: variable artifact_path")
    _method(parser)


def deploy(parser: ArgumentParser) -> None:
    """`myx deploy`."""
    parser.add_argument("kind", metavar="KIND", choices=KINDS, help=", ".join(KINDS))
    _many(parser)
    add_play(parser, ("--extra-vars", "-e"))
    add_silence(parser)
    _watching(parser)


def playbook_run(parser: ArgumentParser) -> None:
    """`myx playbook run`."""
    parser.add_argument("playbook", metavar="PROJECT/PLAYBOOK", help="without PROJECT/: one that ships with MyX")
    _many(parser)
    add_play(parser, ("--extra-vars", "-e"))
    add_silence(parser)
    _watching(parser)


def enrol(parser: ArgumentParser) -> None:
    """`myx server enrol`."""
    _many(parser, waits=False)
    _watching(parser)


def repair(parser: ArgumentParser) -> None:
    """`myx agent repair`."""
    _many(parser, waits=False)
    parser.add_argument(
        "--force", action="store_true", help="also while commands run there, or when the network is what seems wrong"
    )
    _watching(parser)


def upgrade(parser: ArgumentParser) -> None:
    """`myx agent upgrade`."""
    _many(parser)
    parser.add_argument("--force", action="store_true", help="also a version that failed there or runs there already")
    _method(parser)
    _watching(parser)


def rotate(parser: ArgumentParser) -> None:
    """`myx agent rotate`."""
    _many(parser)
    parser.add_argument("--new-port", action="store_true", help="also a new port (installs again over SSH)")
    parser.add_argument("--new-path", action="store_true", help="also a new path (installs again over SSH)")
    _watching(parser)


def uninstall(parser: ArgumentParser) -> None:
    """`myx agent uninstall`."""
    _many(parser, waits=False)
    parser.add_argument("--force", action="store_true", help="also while commands run there")
    _watching(parser)


def list_(parser: ArgumentParser) -> None:
    """`myx deployment list`."""
    parser.add_argument("--server", metavar="SERVER", help="only of this server")
    parser.add_argument("--kind", metavar="KIND", help="only of this kind")
    parser.add_argument(
        "--status",
        action="append",
        choices=STATUSES,
        metavar="STATUS",
        help=f"only: {', '.join(STATUSES)} (repeatable)",
    )
    parser.add_argument("--limit", type=positive, default=50, metavar="N", help="how many, newest first (50)")


def id_(parser: ArgumentParser) -> None:
    """`myx deployment show`."""
    parser.add_argument("id", metavar="ID", help="id of the deployment")


def ids(parser: ArgumentParser) -> None:
    """`myx deployment cancel`."""
    parser.add_argument("ids", nargs="+", metavar="ID", help="id of the deployment")


def logs(parser: ArgumentParser) -> None:
    """`myx deployment logs`."""
    id_(parser)
    add_log(parser)


def retry(parser: ArgumentParser) -> None:
    """`myx deployment retry`."""
    id_(parser)
    parser.add_argument(
        "--secret", action="append", type=secret, default=[], metavar="K=@FILE|K", help="a hidden variable, again"
    )
    parser.add_argument("--detach", "-d", action="store_true", help="start it, print its id, and leave")
    add_patience(parser)
