"""Requests against the schema: which method is meant, and are its parameters what they should be."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from starling.daemon.ipc.errors import INVALID_PARAMS, METHOD_NOT_FOUND, RpcError
from starling.daemon.ipc.event_kinds import check_kinds
from starling.daemon.ipc.schema import METHODS
from starling.daemon.ipc.shapes import Method, Parameter


def find_method(name: str) -> Method:
    """The method of that name; RpcError with the nearest name where there is none."""
    method = METHODS.get(name)
    if method is None:
        near = difflib.get_close_matches(name[:64], METHODS, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise RpcError(METHOD_NOT_FOUND, f"there is no method {name[:64]!r}{hint}", "unknown_method")
    return method


def validate(method: Method, params: Any) -> dict[str, Any]:
    """All parameters of a method by name, defaults filled in, ids as bytes; RpcError for anything else."""
    given: Mapping[str, Any]
    if isinstance(params, list):
        if len(params) > len(method.params):
            raise _bad(f"{method.name} takes at most {len(method.params)} parameters")
        given = {parameter.name: value for parameter, value in zip(method.params, params, strict=False)}
    else:
        given = params
    known = [parameter.name for parameter in method.params]
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name[:64], known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known) or 'none'}"
            raise _bad(f"{method.name} has no parameter {name[:64]!r}; {hint}")
    checked: dict[str, Any] = {}
    for parameter in method.params:
        value = given.get(parameter.name)
        if value is None:
            if parameter.required:
                raise _bad(f"{method.name} needs the parameter {parameter.name!r}: {parameter.doc}")
            checked[parameter.name] = parameter.default
            continue
        try:
            checked[parameter.name] = _check(parameter, value)
        except ValueError as error:
            raise _bad(f"{method.name}: {parameter.name!r} {error}") from None
    return checked


def _bad(message: str) -> RpcError:
    return RpcError(INVALID_PARAMS, message, "bad_params")


def _check(parameter: Parameter, value: Any) -> Any:
    low, high = parameter.low, parameter.high
    match parameter.kind:
        case "string" | "universe" | "member":
            if not isinstance(value, str) or not low <= len(value) <= high:
                raise ValueError(f"must be a string of {low:.0f} to {high:.0f} characters")
            try:
                value.encode()
            except UnicodeEncodeError:
                raise ValueError("holds half of a surrogate pair") from None
            if parameter.values and value not in parameter.values:
                raise ValueError(f"must be one of {', '.join(parameter.values)}")
            return value
        case "boolean":
            if not isinstance(value, bool):
                raise ValueError("must be true or false")
            return value
        case "integer" | "number" | "from":
            if parameter.kind == "from" and value == "now":
                return value
            whole = parameter.kind != "number"
            if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
                value = None
            if value is None or not low <= value <= high:
                raise ValueError(f"must be a{' whole' if whole else ''} number from {low:.0f} to {high:.0f}")
            return value
        case "id16":
            return _hex(value, 16)
        case "hex":
            return _hex(value, None)
        case "ids16":
            if not isinstance(value, list) or len(value) > high:
                raise ValueError(f"must be a list of at most {high:.0f} ids")
            return tuple(_hex(item, 16) for item in value)
        case _:
            if not isinstance(value, list) or len(value) > high or not all(isinstance(v, str) for v in value):
                raise ValueError(f"must be a list of at most {high:.0f} event kinds")
            check_kinds(value)
            return tuple(value)


def _hex(value: Any, size: int | None) -> bytes:
    try:
        if isinstance(value, str) and 0 < len(value) <= 128 and value.isalnum():
            data = bytes.fromhex(value)
            if size is None or len(data) == size:
                return data
    except ValueError:
        pass
    raise ValueError(
        f"must be the hex of {size} bytes" if size else "must be hex digits, an even number of them"
    )
