"""Errors of JSON-RPC 2.0 (§5.1) and what the daemon adds: `data.code`, a short word for programs."""

from __future__ import annotations

from typing import Any

from starling.daemon.errors import DaemonError
from starling.protocol.errors import StarlingError, UsageError

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
REFUSED = -32000


class RpcError(Exception):
    """An answer that is an error."""

    def __init__(self, number: int, message: str, code: str, **data: Any) -> None:
        super().__init__(message)
        self.number = number
        self.data = {"code": code, **data}

    def object(self) -> dict[str, Any]:
        return {"code": self.number, "message": str(self), "data": self.data}


def refused(message: str, code: str, **data: Any) -> RpcError:
    """The request was understood, and cannot be done."""
    return RpcError(REFUSED, message, code, **data)


def as_rpc_error(error: Exception) -> RpcError:
    """What an app is told about any error."""
    if isinstance(error, RpcError):
        return error
    if isinstance(error, (UsageError, DaemonError)):
        return refused(str(error), error.code)
    if isinstance(error, StarlingError):
        return refused(f"this is refused: {error}", "refused")
    return RpcError(INTERNAL_ERROR, "the daemon failed; its log says more", "internal")
