"""JSON-RPC 2.0 to the letter: typed methods, batches in order, notifications, the specification's error codes."""

import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS, INTERNAL_ERROR = -32700, -32600, -32601, -32602, -32603
_TEXTS = {
    PARSE_ERROR: ("Parse error", "PARSE_ERROR"),
    INVALID_REQUEST: ("Invalid Request", "INVALID_REQUEST"),
    METHOD_NOT_FOUND: ("Method not found", "METHOD_NOT_FOUND"),
    INVALID_PARAMS: ("Invalid params", "INVALID_PARAMS"),
    INTERNAL_ERROR: ("Internal error", "INTERNAL"),
}
_log = logging.getLogger("myx_agent.jsonrpc")


class RpcError(Exception):
    """An error answer. `reason` and `retryable` go into its data, beside `data`."""

    def __init__(self, code: int, message: str = "", reason: str = "", *, retryable: bool = False, **data: Any) -> None:
        text, default_reason = _TEXTS.get(code, ("Server error", "SERVER_ERROR"))
        super().__init__(message or text)
        self.code = code
        self.message = message or text
        self.data: dict[str, Any] = {"reason": reason or default_reason, "retryable": retryable} | data

    def as_dict(self) -> dict[str, Any]:
        return {"code": self.code, "message": self.message, "data": self.data}


class Request(msgspec.Struct):
    jsonrpc: str
    method: str
    params: dict[str, Any] | list[Any] | msgspec.UnsetType = msgspec.UNSET
    id: str | int | float | msgspec.UnsetType | None = msgspec.UNSET


class Method(msgspec.Struct, frozen=True):
    """A registered method: its function, the closed struct of its parameters, their names in order."""

    function: Callable[..., Awaitable[Any]]
    params: type[msgspec.Struct]
    names: tuple[str, ...]


class Dispatcher:
    """Answers request bodies. Methods are coroutine functions; their signatures check the parameters."""

    def __init__(self, max_batch: int = 100) -> None:
        self.methods: dict[str, Method] = {}
        self._max_batch = max_batch
        self._decoder = msgspec.json.Decoder()
        self._encoder = msgspec.json.Encoder()

    def add(self, name: str, function: Callable[..., Awaitable[Any]]) -> None:
        """Register a method. A change of the specification of a parameter is a change of its annotation."""
        fields: list[Any] = []
        for parameter in inspect.signature(function, eval_str=True).parameters.values():
            field = (parameter.name, parameter.annotation)
            fields.append(field if parameter.default is parameter.empty else (*field, parameter.default))
        struct = msgspec.defstruct(name, fields, forbid_unknown_fields=True, kw_only=True)
        self.methods[name] = Method(function, struct, tuple(field[0] for field in fields))

    async def handle(self, body: bytes) -> bytes | None:
        """The answer to a request body; None when nothing is to be answered (notifications only)."""
        try:
            document = self._decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._encoder.encode(_error(None, RpcError(PARSE_ERROR)))
        if not isinstance(document, list):
            answer = await self._call(document)
            return None if answer is None else self._encoder.encode(answer)
        if not document:
            return self._encoder.encode(_error(None, RpcError(INVALID_REQUEST)))
        if len(document) > self._max_batch:
            error = RpcError(INVALID_REQUEST, f"a batch may hold {self._max_batch} calls", "BATCH_TOO_LARGE")
            return self._encoder.encode(_error(None, error))
        answers = [answer for item in document if (answer := await self._call(item)) is not None]
        return self._encoder.encode(answers) if answers else None

    async def _call(self, document: Any) -> dict[str, Any] | None:
        try:
            request = msgspec.convert(document, Request)
        except msgspec.ValidationError:
            return _error(_id_of(document), RpcError(INVALID_REQUEST))
        if request.jsonrpc != "2.0" or isinstance(request.id, bool):
            return _error(_id_of(document), RpcError(INVALID_REQUEST))
        try:
            result = await self._invoke(request)
        except RpcError as error:
            answer = _error(request.id, error)
        except Exception:  # noqa: BLE001 - the top of a call: logged here, no text for the peer
            _log.exception("method failed: %s", request.method)
            answer = _error(request.id, RpcError(INTERNAL_ERROR))
        else:
            answer = {"jsonrpc": "2.0", "id": request.id, "result": result}
        return None if request.id is msgspec.UNSET else answer

    async def _invoke(self, request: Request) -> Any:
        method = self.methods.get(request.method)
        if method is None:
            raise RpcError(METHOD_NOT_FOUND)
        params = {} if request.params is msgspec.UNSET else request.params
        if isinstance(params, list):
            if len(params) > len(method.names):
                raise RpcError(INVALID_PARAMS, "Invalid params: too many positional parameters")
            params = dict(zip(method.names, params, strict=False))
        try:
            checked = msgspec.convert(params, method.params)
        except msgspec.ValidationError as error:
            raise RpcError(INVALID_PARAMS, f"Invalid params: {error}", field=_field_of(str(error))) from None
        return await method.function(**{name: getattr(checked, name) for name in method.names})


def invalid_param(field: str, rule: str) -> RpcError:
    """A parameter of the right type with a value that cannot be."""
    return RpcError(INVALID_PARAMS, f"Invalid params: {field} {rule}", field=field)


def _field_of(message: str) -> str:
    """The parameter that a msgspec message is about: `$.name…` or the quoted field name."""
    _before, _dollar, path = message.partition("`$.")
    if path:
        return path.rstrip("`").partition(".")[0].partition("[")[0]
    _before, _tick, rest = message.partition("`")
    return rest.partition("`")[0]


def _id_of(document: Any) -> str | int | float | None:
    found = document.get("id") if isinstance(document, dict) else None
    return found if isinstance(found, str | int | float) and not isinstance(found, bool) else None


def _error(request_id: Any, error: RpcError) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "error": error.as_dict()}
