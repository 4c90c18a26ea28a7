"""Inputs that once were findings: one JSON file each, replayed by the tests for good.

`{"target": ..., "structure": ..., "data": hex, "found": what it did}`, or `"case"` instead of structure and data
where a whole story from a seed was needed.
"""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import Any

from tests.fuzz import certificate_target, packed_target, wire_target
from tests.fuzz.findings import Finding
from tests.fuzz.targets import TARGETS

from starling.protocol.mls.credential import Credential

CORPUS = Path(__file__).parent / "corpus"


def keep(folder: Path, target: str, case: str, finding: Finding) -> Path:
    """Write a finding down; the file's name comes from its content."""
    entry: dict[str, Any] = {"target": target, "found": finding.what[:300]}
    if finding.structure:
        entry |= {"structure": finding.structure, "data": finding.data.hex()}
    else:
        entry["case"] = case
    text = json.dumps(entry, indent=1) + "\n"
    named = json.dumps({key: value for key, value in entry.items() if key != "found"})
    file = folder / f"{target}-{hashlib.sha256(named.encode()).hexdigest()[:12]}.json"
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def entries(folder: Path = CORPUS) -> list[Path]:
    return sorted(folder.glob("*.json"))


def replay(file: Path) -> None:
    """Feed a kept input again; raises `Finding` where it is one again."""
    entry = json.loads(file.read_text())
    if "case" in entry:
        TARGETS[entry["target"]](random.Random(entry["case"]))
        return
    data = bytes.fromhex(entry["data"])
    if entry["target"] == "wire":
        wire_target.check(entry["structure"], data, random.Random(0))
    elif entry["target"] == "certificates":
        certificate_target.check([held.cert_data for held in Credential.decode(data).certificates or ()])
    else:
        packed_target.check(entry["structure"], data)
