"""The one place that finds and reads the official test vectors."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

_BESIDE = Path(__file__).resolve().parent.parent.parent / "shared" / "vectors"


def load_vectors(name: str) -> Any:
    """The parsed JSON of `name`, such as `mls/treekem.json`, below STARLING_VECTORS or ../shared/vectors.

    Under CI a missing file is a failure; elsewhere the test is skipped and says where to get the files.
    """
    path = Path(os.environ.get("STARLING_VECTORS") or _BESIDE) / name
    if not path.exists():
        hint = f"{path} is missing: fetch the MLS working group's test vectors and set STARLING_VECTORS"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(hint)
        pytest.skip(hint)
    return json.loads(path.read_text())


def supported(vectors: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The vectors of the cipher suites that are implemented."""
    from starling.protocol.crypto.cipher_suite import CIPHER_SUITES

    chosen = [vector for vector in vectors if vector["cipher_suite"] in CIPHER_SUITES]
    assert chosen, "no vector is for a supported cipher suite"
    return chosen
