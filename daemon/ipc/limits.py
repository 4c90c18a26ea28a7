"""How much the socket takes: bytes of a line, requests of a batch, connections, and subscriptions of one."""

from __future__ import annotations

MAX_LINE = 2**20
MAX_BATCH = 64
MAX_CLIENTS = 64
MAX_SUBSCRIPTIONS = 16
