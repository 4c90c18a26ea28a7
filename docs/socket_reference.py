"""Writes what the schema says into docs/socket.md and docs/openrpc.json: `python docs/socket_reference.py`."""

from __future__ import annotations

import json
from pathlib import Path

from starling.daemon.ipc.event_kinds import EVENT_KINDS
from starling.daemon.ipc.openrpc import document
from starling.daemon.ipc.schema import METHODS
from starling.daemon.ipc.shapes import Member, Method, Parameter

PAGE = Path(__file__).resolve().parent / "socket.md"
OPENRPC = PAGE.with_name("openrpc.json")

_MOST_IN_A_LINE = 4
"""Members of an answer; more stand in a list."""


def _bounds(parameter: Parameter) -> str:
    if parameter.values:
        return " or ".join(f"`{value}`" for value in parameter.values)
    if parameter.kind not in ("integer", "number") or parameter.high >= 2**53:
        return ""
    return f"{parameter.low:g} to {parameter.high:.0f}"


def _parameter(parameter: Parameter) -> str:
    notes = [parameter.kind, _bounds(parameter)]
    if parameter.required:
        notes.append("required")
    elif parameter.default is not None:
        shown = str(parameter.default)
        notes.append(f"default {shown.lower() if isinstance(parameter.default, bool) else shown}")
    return f"- `{parameter.name}` ({', '.join(note for note in notes if note)}): {parameter.doc}"


def _member(member: Member) -> str:
    kind = f"optional {member.kind}" if member.optional else member.kind
    return f"`{member.name}` ({kind}{': ' if member.doc else ''}{member.doc})"


def _method(method: Method) -> str:
    lines = [f"### `{method.name}`", "", method.doc, ""]
    lines += [_parameter(parameter) for parameter in method.params]
    lines += [""] if method.params else []
    members = [_member(member) for member in method.result]
    if len(members) > _MOST_IN_A_LINE:
        lines += ["Answer:", "", *(f"- {member}" for member in members)]
    else:
        lines.append(f"Answer: {', '.join(members)}")
    return "\n".join(lines)


def methods() -> str:
    """The list of all methods, in Markdown."""
    return "\n\n".join(_method(method) for method in METHODS.values())


def events() -> str:
    """The table of all kinds of events."""
    rows = [
        f"| `{kind}` | {doc} | {', '.join(f'`{member}`' for member in members)} |"
        for kind, (doc, members) in EVENT_KINDS.items()
    ]
    return "\n".join(["| kind | when | its body |", "|---|---|---|", *rows])


def page(text: str) -> str:
    """The page with what stands between its marks replaced."""
    for name, content in (("methods", methods()), ("events", events())):
        begin, end = f"<!-- {name}: written by docs/socket_reference.py -->", f"<!-- end of {name} -->"
        head, rest = text.split(begin)
        _, tail = rest.split(end)
        text = f"{head}{begin}\n\n{content}\n\n{end}{tail}"
    return text


def openrpc() -> str:
    """The OpenRPC document, as it stands in its file."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
    OPENRPC.write_text(openrpc())
