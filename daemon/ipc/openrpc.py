"""The methods of the socket as an OpenRPC document, made from the schema."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from starling.daemon.ipc.event_kinds import EVENT_KINDS
from starling.daemon.ipc.schema import API_VERSION, METHODS
from starling.daemon.ipc.shapes import Method, Parameter

OPENRPC = "1.3.2"


def document() -> dict[str, Any]:
    """The whole document; events are under `x-events`, for OpenRPC has no word for notifications of a server."""
    return {
        "openrpc": OPENRPC,
        "info": {
            "title": "Starling",
            "description": f"The socket of starling {version('starling')}.",
            "version": f"{API_VERSION['major']}.{API_VERSION['minor']}",
        },
        "methods": [_method(method) for method in METHODS.values()],
        "x-events": [
            {"kind": kind, "summary": doc, "body": list(members)}
            for kind, (doc, members) in EVENT_KINDS.items()
        ],
    }


def _method(method: Method) -> dict[str, Any]:
    return {
        "name": method.name,
        "summary": method.doc,
        "paramStructure": "either",
        "params": [_parameter(parameter) for parameter in method.params],
        "result": {"name": "result", "schema": _result(method)},
    }


def _result(method: Method) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for member in method.result:
        kind = "array" if member.kind == "list" else member.kind
        properties[member.name] = {"type": [kind, "null"] if member.optional else kind}
        if member.doc:
            properties[member.name]["description"] = member.doc
    required = [member.name for member in method.result if not member.optional]
    return {"type": "object", "properties": properties, "required": required}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    schema = _schema(parameter)
    if parameter.default is not None:
        schema["default"] = parameter.default
    return {
        "name": parameter.name,
        "description": parameter.doc,
        "required": parameter.required,
        "schema": schema,
    }


def _schema(parameter: Parameter) -> dict[str, Any]:
    low, high = int(parameter.low), int(parameter.high)
    match parameter.kind:
        case "boolean":
            return {"type": "boolean"}
        case "integer" | "number":
            return {"type": parameter.kind, "minimum": low, "maximum": high}
        case "from":
            return {"oneOf": [{"type": "integer", "minimum": low, "maximum": high}, {"const": "now"}]}
        case "id16":
            return _hex(32)
        case "hex":
            return {"type": "string", "pattern": "^([0-9a-fA-F]{2})+$", "maxLength": 2 * high}
        case "ids16":
            return {"type": "array", "items": _hex(32), "maxItems": high}
        case "kinds":
            return {
                "type": "array",
                "items": {"type": "string", "enum": list(EVENT_KINDS)},
                "maxItems": high,
            }
    schema: dict[str, Any] = {"type": "string"}
    if parameter.values:
        return schema | {"enum": list(parameter.values)}
    return schema | {"minLength": low} | ({"maxLength": high} if high < 2**53 else {})


def _hex(digits: int) -> dict[str, Any]:
    return {"type": "string", "pattern": f"^[0-9a-fA-F]{{{digits}}}$"}
