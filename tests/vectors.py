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
        # The vectors are not part of the project: who has not fetched them can still run the rest.
        pytest.skip(hint)
    vectors = json.loads(path.read_text())
    assert vectors, f"{path} is empty"
    return vectors
