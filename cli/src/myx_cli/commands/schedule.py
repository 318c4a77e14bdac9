"""`myx schedule list|show|next|fires`."""

from argparse import Namespace

from myx_cli.api import Client, Document, segment
from myx_cli.endpoint import find
from myx_cli.errors import UsageError
from myx_cli.jobs.states import work_line
from myx_cli.output import print_line
from myx_cli.pages import all_items, shown_items
from myx_cli.sinks import print_json
from myx_cli.standing import Fact
from myx_cli.tables import Status, When, print_facts, print_table
from myx_cli.text import clean, format_duration
from myx_cli.times import in_zone

PATH = "/schedules"


def list_(arguments: Namespace) -> int:
    """Lists schedules by name."""
    items = all_items(_client(arguments), PATH)
    if arguments.output == "json":
        print_json({"items": items})
        return 0
    print_table(
        ("Name", "State", "Cron", "Zone", "Next", "Last", "Outcome", "Work"),
        [_row(item) for item in items],
        "no schedules yet: myx schedule add NAME --cron '0 3 * * *' -l SELECTOR -- COMMAND",
        droppable=("Zone", "Last", "State", "Outcome"),
    )
    return 0


def show(arguments: Namespace) -> int:
    """Shows all that is known about one schedule."""
    return show_one(get_schedule(_client(arguments), arguments.schedule), arguments)


def show_one(schedule: Document, arguments: Namespace) -> int:
    """Shows a schedule as the command line wishes; 0."""
    if arguments.output == "json":
        print_json(schedule)
    else:
        print_facts(_facts(schedule))
    return 0


def get_schedule(client: Client, name: str) -> Document:
    """The schedule of that name or id."""
    return client.get(f"{PATH}/{segment(name)}")


def next_(arguments: Namespace) -> int:
    """Shows when a schedule, or an expression, fires next."""
    if (arguments.schedule is None) == (arguments.cron is None):
        raise UsageError("of what? NAME, or --cron CRON [--tz ZONE]")
    client = _client(arguments)
    cron, zone = arguments.cron, arguments.tz or "UTC"
    if arguments.schedule is not None:
        schedule = get_schedule(client, arguments.schedule)
        cron, zone = schedule.get("cron"), schedule.get("time_zone") or "UTC"
    preview = client.post(f"{PATH}/preview", {"cron": cron, "time_zone": zone, "count": arguments.count})
    if arguments.output == "json":
        print_json(preview)
        return 0
    for moment in preview.get("times") or []:
        print_line(clean(in_zone(moment, zone)))
    return 0


def fires(arguments: Namespace) -> int:
    """Lists what became of the times of a schedule, newest first."""
    items = shown_items(_client(arguments), f"{PATH}/{segment(arguments.schedule)}/fires", arguments.limit)
    if arguments.output == "json":
        print_json({"items": items})
        return 0
    print_table(
        ("Time", "Outcome", "Decided", "Started", "ID", "Message"),
        [_fire_row(item) for item in items],
        "it has not fired yet",
        droppable=("Decided", "Started"),
    )
    return 0


def _client(arguments: Namespace) -> Client:
    return Client(find(arguments))


def _row(schedule: Document) -> tuple[object, ...]:
    last = schedule.get("last_fire") or {}
    times = schedule.get("next_times") or []
    return (
        schedule.get("name"),
        Status("paused" if schedule.get("paused") else "active"),
        schedule.get("cron"),
        schedule.get("time_zone") or "UTC",
        When(times[0] if times else ""),
        When(last.get("slot_at") or ""),
        Status(last.get("outcome") or ""),
        _work(schedule),
    )


def _fire_row(fire: Document) -> tuple[object, ...]:
    return (
        fire.get("slot_at"),
        Status(fire.get("outcome") or ""),
        When(fire.get("decided_at") or ""),
        fire.get("started_kind"),
        fire.get("started_id"),
        fire.get("message") or fire.get("reason"),
    )


def _facts(schedule: Document) -> list[Fact]:
    last = schedule.get("last_fire") or {}
    zone = schedule.get("time_zone") or "UTC"
    within = schedule.get("missed_within_s")
    missed = clean(schedule.get("missed") or "skip").replace("_", " ")
    if missed != "skip" and isinstance(within, int | float):
        missed += f", not later than {format_duration(within)}"
    return [
        ("name", schedule.get("name")),
        ("id", schedule.get("id")),
        ("state", Status("paused" if schedule.get("paused") else "active")),
        ("cron", schedule.get("cron")),
        ("time zone", zone),
        *(("next", in_zone(moment, zone)) for moment in schedule.get("next_times") or []),
        ("work", _work(schedule)),
        ("when missed", missed),
        ("when the one before still runs", schedule.get("overlap")),
        ("owner", schedule.get("owner")),
        ("last", last.get("slot_at")),
        ("outcome", Status(last.get("outcome") or "")),
        ("started", " ".join(clean(last.get(name) or "") for name in ("started_kind", "started_id")).strip()),
        ("message", last.get("message") or last.get("reason")),
        ("created", When(schedule.get("created_at") or "")),
        ("changed", When(schedule.get("updated_at") or "")),
    ]


def _work(schedule: Document) -> str:
    """`uptime on env=prod`."""
    work = schedule.get("work") or {}
    parts = [part for part in work.values() if isinstance(part, dict)] if isinstance(work, dict) else []
    where = ""
    for part in parts:
        where = clean(part.get("selector") or part.get("server") or ", ".join(map(str, part.get("servers") or [])))
    return f"{work_line(work)} on {where}" if where else work_line(work)
