"""The documentation is true: links and files exist, commands parse, samples run, lists match the code."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import tomllib
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

from starling.daemon.cli.arguments import parser as command_line
from starling.daemon.cli.parsing import WrongUsage
from starling.daemon.config import Config, parse_config
from starling.daemon.ipc.event_kinds import EVENT_KINDS
from starling.daemon.ipc.schema import METHODS
from starling.daemon.ipc.validation import find_method, validate
from starling.protocol import mls

TOP = Path(__file__).resolve().parent.parent
DOCS = TOP / "docs"
PAGES = [TOP / "README.md", *sorted(DOCS.glob("*.md"))]
CODE = ("protocol", "p2p", "daemon")

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PATH = re.compile(r"`([\w.-]+(?:/[\w.-]*)+)`")
_ID = re.compile(r"\b(?:[KXCTS]-\d+|P-\d{1,2}|[RB]\d{1,2}|I\d)\b")


def _prose(page: Path) -> str:
    return _BLOCK.sub("", page.read_text())


def _blocks(page: Path, kind: str) -> list[str]:
    return [text for name, text in _BLOCK.findall(page.read_text()) if name == kind]


def _anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", _prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in _LINK.findall(_prose(page)):
        assert "://" not in link, f"{link}: the pages need no network"
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        if anchor:
            assert anchor in _anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_files_exist(page: Path) -> None:
    folders = {path.name for path in TOP.iterdir() if path.is_dir()}
    for path in _PATH.findall(_prose(page)):
        if path.split("/")[0] in folders:
            assert (TOP / path).exists(), path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_pages_speak_of_the_product_alone(page: Path) -> None:
    """No place on a machine, no number of an issue, and nothing that is still to be done."""
    text = page.read_text()
    assert not re.search(r"/work\b|/root\b|(?:^|\s)#\d+\b", text)
    assert "TODO" not in text


def test_every_page_is_linked_from_the_readme() -> None:
    links = {link.partition("#")[0] for link in _LINK.findall(PAGES[0].read_text())}
    assert {f"docs/{page.name}" for page in DOCS.glob("*.md")} <= links


def test_the_layout_names_folders_that_exist() -> None:
    (layout,) = re.findall(r"^```\n(protocol/.*?)^```$", (DOCS / "layers.md").read_text(), re.M | re.S)
    parent = ""
    seen = set()
    for line in layout.splitlines():
        names = line[:22].split()
        if not line.startswith(" "):
            parent = names[0]
            names = [""]
        for name in names:
            assert (TOP / parent / name).exists(), line
            seen.add((TOP / parent / name).relative_to(TOP))
    packages = {path.parent.relative_to(TOP) for folder in CODE for path in (TOP / folder).rglob("*.py")}
    assert packages <= seen


def test_the_engines_page_names_each_of_its_files_once() -> None:
    rows = re.findall(r"^\|.*\|$", (DOCS / "engine.md").read_text(), re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`(\w+\.py)`", row)]
    held = {path.name for path in (TOP / "protocol" / "engine").glob("*.py")} - {"__init__.py"}
    assert sorted(named) == sorted(held)


def test_make_commands_exist() -> None:
    targets = set(re.findall(r"^([\w-]+):", (TOP / "Makefile").read_text(), re.MULTILINE))
    named = {name for page in PAGES for name in re.findall(r"\bmake ([a-z-]+)`", page.read_text())}
    assert {"demo", "test", "check"} <= named
    assert named <= targets


def test_debian_packages_are_those_of_the_setup() -> None:
    (packages,) = re.findall(r'^debian="(.*)"$', (TOP / "requirements" / "setup.sh").read_text(), re.M)
    assert f"`{packages}`" in re.sub(r"\s+", " ", PAGES[0].read_text())


def _commands(page: Path) -> list[str]:
    console = re.findall(r"^\w+\$ (starling .*)$", page.read_text(), re.MULTILINE)
    inline = re.findall(r"`(starling [^`]+)`", _prose(page))
    return console + inline


def test_commands_of_the_command_line_parse(capsys: pytest.CaptureFixture[str]) -> None:
    """Each runs through the real parser; a bare name of a command needs to exist only."""
    commands = [command for page in PAGES for command in _commands(page)]
    assert len(commands) > 10
    for command in commands:
        words = shlex.split(command)[1:]
        if _parses(words):
            continue
        assert _parses([*words, "--help"]), command
    capsys.readouterr()


def _parses(words: list[str]) -> bool:
    try:
        command_line().parse_args(words)
    except SystemExit as end:
        return end.code == 0
    except WrongUsage:
        return False
    return True


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_samples_run(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As they stand, one after the other; what they print stands beside them, or below."""
    samples = _blocks(page, "python")
    if page.name == "README.md":
        assert len(samples) == 2
        assert len(samples[1].strip().splitlines()) <= 12
    if samples:
        exec(compile("\n".join(samples), str(page), "exec"), {"__name__": "sample"})
        expected = [line for sample in samples for line in re.findall(r"# -> (.*)", sample)]
        assert capsys.readouterr().out.splitlines() == expected


def test_the_tutorial_and_the_words_name_public_names_alone() -> None:
    """The library's names are one closed list: `__all__` of `starling.protocol.mls`."""
    assert sorted(mls.__all__) == mls.__all__
    for page in ("mls_tutorial.md", "mls_words.md"):
        text = (DOCS / page).read_text()
        for module, names in re.findall(r"from starling\.protocol\.mls(\S*) import \(?([\w\s,]+)", text):
            assert not module, "a sample needs a name that is not public"
            assert {name.strip() for name in names.split(",") if name.strip()} <= set(mls.__all__)
    words = (DOCS / "mls_words.md").read_text()
    listed = words.split("## All public names")[1]
    assert set(re.findall(r"`(\w+)`", listed)) == set(mls.__all__)


def _reference() -> ModuleType:
    return _generator("socket_reference")


def _generator(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_methods_of_the_socket_are_all_described() -> None:
    text = (DOCS / "socket.md").read_text()
    assert text == _reference().page(text), "run: .venv/bin/python docs/socket_reference.py"
    assert all(f"### `{name}`" in text for name in METHODS)
    assert (DOCS / "openrpc.json").read_text() == _reference().openrpc(), "the same command writes it"


def test_every_clause_of_mls_is_checked_and_has_a_test() -> None:
    clauses = _generator("mls_clauses")
    assert not clauses.unchecked() and not clauses.untested()
    text = (DOCS / "mls_clauses.md").read_text()
    assert text == clauses.page(), "run: .venv/bin/python docs/mls_clauses.py"


def test_requests_on_the_socket_page_are_valid() -> None:
    (block,) = _blocks(DOCS / "socket.md", "json")
    for line in block.splitlines():
        request = json.loads(line)
        assert request["jsonrpc"] == "2.0"
        validate(find_method(request["method"]), request["params"])


def test_the_kinds_of_events_are_all_described() -> None:
    folders = (TOP / "protocol" / name for name in ("engine", "archiver"))
    source = "".join(path.read_text() for folder in folders for path in folder.glob("*.py"))
    kinds = set(re.findall(r'\bevent\(\s*"([a-z]+\.[a-z_-]+)"', source))
    assert "message.received" in kinds
    assert set(EVENT_KINDS) == kinds


def test_the_settings_are_all_described() -> None:
    text = (DOCS / "configuration.md").read_text()
    rows = dict(re.findall(r"^\| `([a-z]+\.[a-z]+)` \| `([^`]+)` \|", text, re.MULTILINE))
    assert {key.replace(".", "_") for key in rows} == {field.name for field in fields(Config)}
    for key, default in rows.items():
        section, name = key.split(".")
        assert parse_config(f"[{section}]\n{name} = {default}", "page") == Config()
    shown = tomllib.loads((TOP / "configs" / "starling.toml").read_text())
    assert {f"{section}.{name}" for section, keys in shown.items() for name in keys} == set(rows)
    for sample in _blocks(DOCS / "configuration.md", "toml"):
        parse_config(sample, "page")


def test_the_ids_in_the_code_are_all_explained() -> None:
    text = (DOCS / "decisions.md").read_text().split("## Ids in the code")[1]
    rows = re.findall(r"^\| ([A-Z]-?\d+) \|", text, re.MULTILINE)
    explained = set(rows)
    assert len(explained) == len(rows)
    cited = {
        found
        for folder in CODE
        for path in (TOP / folder).rglob("*.py")
        for found in _ID.findall(path.read_text())
    }
    assert cited <= explained
    assert len(cited) > 30


def test_the_picture_is_a_picture() -> None:
    root = ElementTree.fromstring((DOCS / "architecture.svg").read_text())
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    words = " ".join("".join(element.itertext()) for element in root.iter())
    for folder in CODE:
        assert f"{folder}/" in words
