"""A run of the fuzzer: cases of all targets, each from a seed of its own, the time shared evenly among them."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping

from tests.fuzz.findings import Finding
from tests.fuzz.targets import Target


class Session:
    """`inputs` and `seconds` are by target."""

    def __init__(self, seed: str, targets: Mapping[str, Target]) -> None:
        self._seed = seed
        self._targets = dict(targets)
        self._began = time.monotonic()
        self._cases = dict.fromkeys(targets, 0)
        self.inputs = dict.fromkeys(targets, 0)
        self.seconds = dict.fromkeys(targets, 0.0)
        self.findings = 0

    def step(self) -> tuple[str, str, Finding | None]:
        """One case of the target that had the least time: its name, the case, and what was found."""
        name = min(self._targets, key=lambda target: self.seconds[target])
        case = f"{self._seed}/{name}/{self._cases[name]}"
        self._cases[name] += 1
        began = time.monotonic()
        finding = None
        try:
            self.inputs[name] += self._targets[name](random.Random(case))
        except Finding as found:
            finding = found
            self.findings += 1
        except Exception as error:
            finding = Finding(f"{type(error).__name__}: {error}")
            finding.__cause__ = error
            self.findings += 1
        self.seconds[name] += time.monotonic() - began
        return name, case, finding

    def progress(self) -> str:
        """One line."""
        counts = ", ".join(f"{name} {count}" for name, count in self.inputs.items())
        seconds = time.monotonic() - self._began
        total = sum(self.inputs.values())
        return f"{seconds:.0f} s, {total} inputs ({counts}), {self.findings} findings"
