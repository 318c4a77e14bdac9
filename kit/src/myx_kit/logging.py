"""Structured logs on stderr: a constant event name and fields; never a secret."""

import logging
import re
import sys
from typing import Literal, TextIO, cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

_SECRET_KEY = re.compile(
    r"token|secret|passw|private_?key|api_?key|master_?key|authorization|credential|cookie|dsn|signature"
    r"|database_url|rpc_path",
    re.IGNORECASE,
)
# Names that only look secret.
_HARMLESS = frozenset({"page_token", "next_page_token", "fencing_token", "lease_token", "secret_env_names"})
_URL_PASSWORD = re.compile(r"(://[^\s/@:]*):[^\s/@]+@")
DROPPED = "[dropped]"

Format = Literal["json", "console"]


def configure(service: str, level: str = "info", fmt: Format = "json") -> None:
    """Set up structlog and the standard library's logging for this process; call once, first thing."""
    number = logging.getLevelNamesMapping()[level.upper()]
    shared = _shared(service)
    last = _last(fmt)
    _configure_structlog([*shared, *last], number, cache=True)
    handler = logging.StreamHandler(cast(TextIO, _Stderr()))
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=[remove_meta, *last], foreign_pre_chain=shared))
    logging.basicConfig(handlers=[handler], level=max(number, logging.INFO), force=True)
    for chatty in ("alembic", "nats", "aiohttp"):
        logging.getLogger(chatty).setLevel(max(number, logging.WARNING))
    # It warns at the end of every TLS connection ("returning true from eof_received() …").
    logging.getLogger("asyncio").setLevel(logging.ERROR)


def configure_default() -> None:
    """What holds until `configure`, in tests too: for people, and as free of secrets. Called at import."""
    _configure_structlog([*_shared("myx"), *_last("console")], logging.INFO, cache=False)


def get_logger() -> FilteringBoundLogger:
    """The logger to use: `log.info("agent_offline", agent_id=str(agent_id), cause=cause)`."""
    logger: FilteringBoundLogger = structlog.get_logger()
    return logger


def drop_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Processor: values under secret-looking keys (at any depth) and passwords inside URLs do not leave the process."""
    return {key: _clean(key, value) for key, value in event.items()}


def _clean(key: object, value: object) -> object:
    if isinstance(key, str) and key not in _HARMLESS and _SECRET_KEY.search(key):
        return DROPPED
    if isinstance(value, str):
        return _URL_PASSWORD.sub(rf"\1:{DROPPED}@", value)
    if isinstance(value, dict):
        return {inner: _clean(inner, item) for inner, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(None, item) for item in value]
    return value


def _shared(service: str) -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        _Stamp(service),
    ]


def _last(fmt: Format) -> list[Processor]:
    renderer: Processor = structlog.processors.JSONRenderer(default=str)
    if fmt == "console":
        # The pretty form of exceptions shows local variables.
        plain = structlog.dev.plain_traceback
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)
    return [structlog.processors.format_exc_info, drop_secrets, renderer]


def _configure_structlog(processors: list[Processor], level: int, *, cache: bool) -> None:
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _Stderr())),
        cache_logger_on_first_use=cache,
    )


class _Stderr:
    """Whatever stderr is at that moment: loggers live longer than what tests put in its place."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


class _Stamp:
    def __init__(self, service: str) -> None:
        self._service = service

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["service"] = self._service
        return event


configure_default()
