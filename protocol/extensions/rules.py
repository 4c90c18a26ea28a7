"""The clauses of the extensions of MLS that a decodable message can break, each with where it is written."""

from __future__ import annotations

import enum


class Rule(enum.Enum):
    """One clause: (section, what must hold)."""

    # semi-private messages
    EXTERNAL_RECEIVERS_LIST = ("S-13", "a group has at most 16 external receivers, each once")

    @property
    def section(self) -> str:
        return self.value[0]

    @property
    def sentence(self) -> str:
        return self.value[1]
