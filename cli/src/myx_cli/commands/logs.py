"""`myx logs` and `myx deployment logs`: the output of what was started before."""

from argparse import Namespace

from myx_cli.api import Client, Document, segment
from myx_cli.deployments import verdict
from myx_cli.endpoint import Endpoint, find
from myx_cli.errors import UsageError
from myx_cli.follow import Follower, Patience
from myx_cli.interrupts import Interrupts
from myx_cli.nouns import COMMAND, DEPLOYMENT, Noun
from myx_cli.outcome import FINAL, completeness_sentence, outcome
from myx_cli.output import note
from myx_cli.silence import Silence
from myx_cli.sinks import JsonSink, RawSink, print_json_line


def logs(arguments: Namespace) -> int:
    """Shows what there is of a command; with --follow also what comes, until it is final."""
    return _logs(arguments, COMMAND)


def deployment_logs(arguments: Namespace) -> int:
    """The same of a deployment."""
    return _logs(arguments, DEPLOYMENT)


def _logs(arguments: Namespace, noun: Noun) -> int:
    endpoint = find(arguments)
    if arguments.grep is not None:
        return _search(endpoint, arguments, noun)
    if arguments.regex or arguments.ignore_case or arguments.limit is not None:
        raise UsageError("--regex, --ignore-case and --limit go with --grep")
    if arguments.download is not None:
        return _download(endpoint, arguments, noun)
    id_ = str(arguments.id)
    interrupts = Interrupts(None, lambda: _leave(id_, noun, following=arguments.follow))
    interrupts.watch()
    client = Client(endpoint)
    document = client.get(f"{noun.path}/{segment(id_)}")
    as_json = arguments.output == "json"
    sink = JsonSink(id_, str(document.get("server_name") or ""), noun.word) if as_json else RawSink()
    patience, silence = Patience(arguments.reconnect_timeout), Silence(endpoint, id_, noun)
    follower = Follower(client, id_, sink, patience, arguments.offset, noun=noun, silent=silence)
    if arguments.follow or document.get("status") in FINAL:
        end = follower.run()
    else:
        end = follower.run(until=max(arguments.offset, int(document.get("log_size_bytes") or 0)))
    final = end.document
    if as_json:
        print_json_line({"type": "final" if final else "end", "offset": end.offset, noun.word: final or document})
    elif final is not None:
        _tell(final, noun, following=arguments.follow)
    return _exit_code(final, noun) if arguments.follow and final is not None else 0


def _search(endpoint: Endpoint, arguments: Namespace, noun: Noun) -> int:
    from myx_cli.commands.log_search import search

    if arguments.follow or arguments.download is not None:
        raise UsageError("--grep searches what is stored: without --follow and --download")
    if not arguments.grep:
        raise UsageError("--grep: an empty pattern matches everything")
    client = Client(endpoint)
    try:
        return search(client, noun, arguments)
    finally:
        client.close()


def _download(endpoint: Endpoint, arguments: Namespace, noun: Noun) -> int:
    from myx_cli.commands.log_download import download

    if arguments.offset:
        raise UsageError("--download writes the whole log and goes on by itself: without --offset")
    return download(endpoint, noun, arguments)


def _exit_code(document: Document, noun: Noun) -> int:
    return verdict(document).exit_code if noun is DEPLOYMENT else outcome(document).exit_code


def _tell(document: Document, noun: Noun, *, following: bool) -> None:
    sentences = verdict(document).sentences if noun is DEPLOYMENT else [outcome(document).sentence]
    for sentence in (completeness_sentence(document), *(sentences if following else ())):
        if sentence:
            note(sentence)


def _leave(id_: str, noun: Noun, *, following: bool) -> None:
    if following:
        note(f"left; nothing was cancelled: {noun.cancel} {id_} would")
