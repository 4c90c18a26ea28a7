"""What the package promises: all its folders are installed, and its layers keep to themselves."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
FOLDERS = ("daemon", "p2p", "protocol")


def test_every_package_is_listed() -> None:
    config = tomllib.loads((TOP / "pyproject.toml").read_text())["tool"]["setuptools"]
    found = {
        "starling." + ".".join(path.parent.relative_to(TOP).parts)
        for folder in FOLDERS
        for path in (TOP / folder).rglob("__init__.py")
    }
    assert set(config["packages"]) == found
    assert config["package-dir"] == {f"starling.{folder}": folder for folder in FOLDERS}


def test_every_folder_with_code_is_a_package() -> None:
    for folder in FOLDERS:
        for path in (TOP / folder).rglob("*.py"):
            assert (path.parent / "__init__.py").exists(), path


def test_the_folders_say_that_they_are_typed() -> None:
    assert all((TOP / folder / "py.typed").exists() for folder in FOLDERS)


def test_the_layers_are_kept() -> None:
    linter = Path(sys.executable).parent / "lint-imports"
    result = subprocess.run(
        [str(linter), "--no-cache"], cwd=TOP, capture_output=True, text=True, check=False, timeout=120
    )
    assert result.returncode == 0, result.stdout


def test_the_library_alone_brings_neither_libp2p_nor_trio() -> None:
    code = (
        "import sys, starling.protocol.engine.engine, starling.protocol.mls.group\n"
        "found = {'libp2p', 'trio', 'sqlite3'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(found)) or 0)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert result.returncode == 0, result.stderr
