"""Writes docs/mls_clauses.md, where each clause of MLS is checked and tested: `python docs/mls_clauses.py`."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

from starling.protocol.mls.rules import Rule

TOP = Path(__file__).resolve().parent.parent
PAGE = TOP / "docs" / "mls_clauses.md"
_SOURCES = ("starling.protocol.mls", "starling.protocol.mls.rules")
_ASKED = {"CREDENTIAL": [("protocol/mls/group_rules.py", "validate_credential")]}
"""What the application says."""

_HEAD = """# The clauses of MLS

Every clause that a decodable message can break is a member of `Rule` (`protocol/mls/rules.py`), and `Invalid` carries
the one that was broken. Here is where each is checked (or asked of the application), and which tests see it refused.
Sections without a document's name are those of [decisions](decisions.md). Written by `docs/mls_clauses.py`.

| clause | section | what holds | checked in | tested in |
|---|---|---|---|---|
"""


def page() -> str:
    """The whole page."""
    places, tests = _places(), _tests()
    rows = []
    for rule in Rule:
        section, sentence = rule.value
        # Of the tests those of one file: what else a test names would change the page all the time.
        shown = [entry for entry in tests.get(rule.name, []) if entry[0] == tests[rule.name][0][0]]
        cells = (_cell(places.get(rule.name, [])), _cell(shown[:2]))
        rows.append(f"| `{rule.name}` | {section} | {sentence} | {cells[0]} | {cells[1]} |\n")
    return _HEAD + "".join(rows)


def untested() -> set[str]:
    """The clauses that no test names."""
    return {rule.name for rule in Rule} - _tests().keys()


def unchecked() -> set[str]:
    """The clauses that no code names."""
    return {rule.name for rule in Rule} - _places().keys()


def _places() -> dict[str, list[tuple[str, str]]]:
    """The functions that name each clause."""
    found: dict[str, list[tuple[str, str]]] = dict(_ASKED)
    for path, tree in _modules("protocol"):
        for node in _definitions(tree.body):
            for name in _rules_in(node):
                found.setdefault(name, []).append((path, node.name))
    return found


def _tests() -> dict[str, list[tuple[str, str]]]:
    """The tests that name each clause, themselves or by a table or helper of their module."""
    found: dict[str, list[tuple[str, str]]] = {}
    for path, tree in _modules("tests"):
        tests = [
            node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
        ]
        for node in tree.body:
            users = [node] if node in tests else [test for test in tests if _names(test) & _defined(node)]
            for name in _rules_in(node):
                found.setdefault(name, []).extend((path, user.name) for user in users)
    return {name: list(dict.fromkeys(entries)) for name, entries in found.items() if entries}


def _modules(folder: str) -> Iterator[tuple[str, ast.Module]]:
    """The modules below a folder that import MLS's `Rule`."""
    for path in sorted((TOP / folder).rglob("*.py")):
        if "node_modules" in path.parts or path.name == "rules.py":
            continue
        tree = ast.parse(path.read_text())
        imported = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
        if any(
            node.module in _SOURCES and alias.name == "Rule" and alias.asname is None
            for node in imported
            for alias in node.names
        ):
            yield str(path.relative_to(TOP)), tree


def _definitions(body: Iterable[ast.stmt]) -> Iterator[ast.FunctionDef]:
    for node in body:
        if isinstance(node, ast.FunctionDef):
            yield node
        elif isinstance(node, ast.ClassDef):
            yield from _definitions(node.body)


def _rules_in(node: ast.AST) -> list[str]:
    """The clauses that are named inside, each once."""
    found = (
        inner.attr
        for inner in ast.walk(node)
        if isinstance(inner, ast.Attribute) and isinstance(inner.value, ast.Name) and inner.value.id == "Rule"
    )
    return list(dict.fromkeys(found))


def _names(node: ast.AST) -> set[str]:
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}


def _defined(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return {target.id for target in targets if isinstance(target, ast.Name)}
    return set()


def _cell(entries: list[tuple[str, str]]) -> str:
    """Files with their functions."""
    by_file: dict[str, list[str]] = {}
    for path, name in entries:
        names = by_file.setdefault(path, [])
        if name not in names:
            names.append(name)
    return "; ".join(
        f"`{path}`: {', '.join(f'`{name}`' for name in names)}" for path, names in by_file.items()
    )


if __name__ == "__main__":
    PAGE.write_text(page())
