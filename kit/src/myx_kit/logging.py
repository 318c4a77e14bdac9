"""Structured logs on stderr: a constant event name and fields; never a secret."""

import logging
import re
import sys
from typing import Literal

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


def configure(service: str, level: str = "info", fmt: Literal["json", "console"] = "json") -> None:
    """Set up structlog and the standard library's logging for this process; call once, first thing."""
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        _Stamp(service),
    ]
    last: list[Processor] = [structlog.processors.format_exc_info, drop_secrets]
    renderer: Processor = structlog.processors.JSONRenderer(default=str)
    if fmt == "console":
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            # The pretty one shows local variables.
            exception_formatter=structlog.dev.plain_traceback,
        )
    structlog.configure(
        processors=[*shared, *last, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(processors=[remove_meta, *last, renderer], foreign_pre_chain=shared)
    )
    logging.basicConfig(handlers=[handler], level=max(number, logging.INFO), force=True)
    for chatty in ("alembic", "asyncio", "nats", "aiohttp"):
        logging.getLogger(chatty).setLevel(max(number, logging.WARNING))


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


class _Stamp:
    def __init__(self, service: str) -> None:
        self._service = service

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["service"] = self._service
        return event
