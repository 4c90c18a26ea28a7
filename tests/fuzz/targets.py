"""What is fuzzed, by name: each takes a source of chance, runs one case, and says how many inputs that was."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.fuzz import certificate_target, engine_target, group_target, packed_target, wire_target

Target = Callable[[random.Random], int]

TARGETS: dict[str, Target] = {
    "wire": wire_target.run,
    "packed": packed_target.run,
    "certificates": certificate_target.run,
    "groups": group_target.run,
    "engine": engine_target.run,
}
