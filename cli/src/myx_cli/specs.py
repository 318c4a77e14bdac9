"""Every command: words, help, who knows its options and who does it. Cheap to import."""

from typing import NamedTuple


class Spec(NamedTuple):
    """One command; `options` and `handler` are `module:function`, imported when it is called.

    With `takes_command` all behind `--` is a command for servers.
    """

    words: tuple[str, ...]
    help: str
    options: str
    handler: str
    deploys: bool = False
    takes_command: bool = False


def _spec(
    words: str, help_: str, options: str, handler: str, *, deploys: bool = False, takes_command: bool = False
) -> Spec:
    known = f"myx_cli.options.{options}" if options else ""
    return Spec(tuple(words.split()), help_, known, f"myx_cli.commands.{handler}", deploys, takes_command)


SPECS: tuple[Spec, ...] = (
    _spec("run", "run a command and show its output", "commands:run", "run:run", takes_command=True),
    _spec("logs", "show or follow the output of a command", "commands:logs", "logs:logs"),
    _spec("command list", "list commands, newest first", "commands:list_", "command:list_"),
    _spec("command show", "show one command", "commands:id_", "command:show"),
    _spec("command cancel", "ask commands to end", "commands:cancel", "command:cancel"),
    _spec("job list", "list jobs, newest first", "jobs:list_", "job:list_"),
    _spec("job show", "show where a job stands, why, and what happens next", "jobs:id_", "job:show"),
    _spec("job targets", "list the servers of a job", "jobs:targets", "job:targets"),
    _spec("job follow", "watch a job to its end", "jobs:follow", "job:follow"),
    _spec("job pause", "start nothing new; what runs goes on", "jobs:id_", "job:pause"),
    _spec("job resume", "go on with a paused job", "jobs:id_", "job:resume"),
    _spec("job cancel", "ask jobs to end", "jobs:cancel", "job:cancel"),
    _spec("job set", "change how many servers are under way at once", "jobs:set_", "job:set_"),
    _spec("job retry", "run a job again where it did not succeed", "jobs:retry", "job:retry"),
    _spec("schedule add", "start something by the clock", "schedules:add", "schedule_change:add", takes_command=True),
    _spec("schedule list", "list schedules", "", "schedule:list_"),
    _spec("schedule show", "show one schedule", "schedules:one", "schedule:show"),
    _spec("schedule next", "show when it fires next", "schedules:next_", "schedule:next_"),
    _spec("schedule fires", "show what became of its times", "schedules:fires", "schedule:fires"),
    _spec("schedule set", "change a schedule", "schedules:set_", "schedule_change:set_", takes_command=True),
    _spec("schedule pause", "fire no more until it is resumed", "schedules:one", "schedule_change:pause"),
    _spec("schedule resume", "fire again", "schedules:one", "schedule_change:resume"),
    _spec("schedule remove", "remove schedules; what they started goes on", "schedules:many", "schedule_change:remove"),
    _spec("server list", "list servers", "servers:list_", "server:list_"),
    _spec("server show", "show one server", "servers:one", "server:show"),
    _spec("server add", "add a server", "servers:add", "server_add:add"),
    _spec("server import", "add many servers from a file", "servers:import_", "server_import:import_"),
    _spec("server set", "change a server", "servers:set_", "server_change:set_"),
    _spec("server label", "change labels of a server", "servers:label", "server_change:label"),
    _spec("server remove", "remove servers; nothing is done on them", "servers:remove", "server_change:remove"),
    _spec("server host-key", "show, compare or accept an SSH host key", "servers:host_key", "host_key:host_key"),
    _spec("server check", "call agents now and say what they answer", "watching:check", "watching:check"),
    _spec("server history", "show how an agent fared, with causes", "watching:history", "watching:history"),
    _spec("server pause", "check and repair no more until a time", "watching:pause", "watching:pause"),
    _spec("server resume", "check again", "watching:chosen", "watching:resume"),
    _spec("server accept-machine", "take the machine that answers for the right one", "servers:one", "watching:accept"),
    _spec("top", "watch the fleet", "watching:top", "top:top"),
    _spec("server enrol", "install the agent over SSH", "deployments:enrol", "agent:enrol", deploys=True),
    _spec("credential add", "add an SSH login that servers share", "credentials:add", "credential:add"),
    _spec("credential list", "list credentials", "", "credential:list_"),
    _spec("credential show", "show one credential", "credentials:one", "credential:show"),
    _spec("credential set", "change a credential", "credentials:set_", "credential:set_"),
    _spec("credential remove", "remove a credential", "credentials:remove", "credential:remove"),
    _spec("agent upgrade", "give agents the newest version", "deployments:upgrade", "agent:upgrade", deploys=True),
    _spec("agent rotate", "give agents new secrets", "deployments:rotate", "agent:rotate", deploys=True),
    _spec("agent repair", "install broken agents again", "deployments:repair", "agent:repair", deploys=True),
    _spec("agent uninstall", "take agents away", "deployments:uninstall", "agent:uninstall", deploys=True),
    _spec("deploy", "deploy something that ships with MyX", "deployments:deploy", "deploy:deploy", deploys=True),
    _spec("playbook run", "run a playbook on servers", "deployments:playbook_run", "deploy:playbook", deploys=True),
    _spec("playbook push", "store a folder of playbooks", "playbooks:push", "playbook:push"),
    _spec("playbook list", "list playbooks", "", "playbook:list_"),
    _spec("playbook remove", "remove a pushed project", "playbooks:remove", "playbook:remove"),
    _spec("artifact push", "store a file for plays", "playbooks:artifact_push", "artifact:push"),
    _spec("artifact list", "list stored files", "", "artifact:list_"),
    _spec("artifact remove", "remove a stored file", "playbooks:artifact_remove", "artifact:remove"),
    _spec("deployment list", "list deployments, newest first", "deployments:list_", "deployment:list_"),
    _spec("deployment show", "show one deployment", "deployments:id_", "deployment:show"),
    _spec("deployment logs", "show or follow the log of a deployment", "deployments:logs", "logs:deployment_logs"),
    _spec("deployment cancel", "ask deployments to end", "deployments:ids", "deployment:cancel"),
    _spec("deployment retry", "run a deployment again", "deployments:retry", "deploy:retry", deploys=True),
    _spec("status", "show whether MyX is well", "", "status:status"),
    _spec("login", "log in to a MyX and keep a token for this machine", "access:login", "login:login"),
    _spec("logout", "revoke that token and forget it", "access:logout", "login:logout"),
    _spec("whoami", "show as whom MyX knows you, and what you may do", "", "login:whoami"),
    _spec("password", "change your own password", "", "password:password"),
    _spec("context list", "list the logins of this machine", "", "context:list_"),
    _spec("context use", "choose the login that is used from now on", "access:context_use", "context:use"),
    _spec("context show", "show a login, without its token", "access:context", "context:show"),
    _spec("context remove", "forget logins without revoking anything", "access:contexts", "context:remove"),
    _spec("user list", "list users", "", "user:list_"),
    _spec("user show", "show one user", "access:user", "user:show"),
    _spec("user add", "add a user", "access:user_add", "user:add"),
    _spec("user set", "change a user", "access:user_set", "user:set_"),
    _spec("user remove", "remove users with their sessions and tokens", "access:users", "user:remove"),
    _spec("token list", "list API tokens", "access:of_user", "token:list_"),
    _spec("token create", "make an API token", "access:token_create", "token:create"),
    _spec("token revoke", "revoke API tokens", "access:tokens", "token:revoke"),
    _spec("session list", "list logins of browsers", "access:of_user", "session:list_"),
    _spec("session revoke", "end logins of browsers", "access:sessions", "session:revoke"),
    _spec("audit list", "list who did what, newest first", "audit:list_", "audit:list_"),
    _spec("audit export", "write the whole audit trail as JSON lines", "audit:export", "audit:export"),
    _spec("audit verify", "check that the audit trail is what it was", "audit:verify", "audit:verify"),
    _spec("events", "show what happened in the fleet, and what happens", "audit:events", "events:events"),
    _spec("inventory", "print an Ansible inventory", "inventory:inventory", "inventory:inventory"),
)
