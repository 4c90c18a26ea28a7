"""What the simulator finds wrong."""

from __future__ import annotations


class Violation(AssertionError):
    """A promise was broken; `kind` is a short word for it, such as `lost` or `repeated`."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
