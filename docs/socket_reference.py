"""Writes the list of methods into docs/socket.md from the schema: `python docs/socket_reference.py`."""

from __future__ import annotations

from pathlib import Path

from starling.daemon.ipc.schema import METHODS, Method, Parameter

PAGE = Path(__file__).resolve().parent / "socket.md"
BEGIN = "<!-- methods: written by docs/socket_reference.py -->"
END = "<!-- end of methods -->"


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


def _method(method: Method) -> str:
    lines = [f"### `{method.name}`", "", method.doc, ""]
    lines += [_parameter(parameter) for parameter in method.params]
    lines += [""] if method.params else []
    lines.append(f"Result: {method.result}")
    return "\n".join(lines)


def reference() -> str:
    """The list of all methods, in Markdown."""
    return "\n\n".join(_method(method) for method in METHODS.values())


def page(text: str) -> str:
    """The page with the list between its two marks replaced."""
    head, rest = text.split(BEGIN)
    _, tail = rest.split(END)
    return f"{head}{BEGIN}\n\n{reference()}\n\n{END}{tail}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
