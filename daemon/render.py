"""Plain values for apps: JSON has no bytes, so ids become hex, peer ids base58, bodies text or base64."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from starling.p2p.interface import peer_id_text


def encode_json(value: Any) -> bytes:
    """Compact JSON in UTF-8, on one line."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def plain(value: Any, name: str = "") -> Any:
    """A value of str, int, bool, None, bytes, lists and dicts, with bytes made text."""
    if isinstance(value, bytes):
        return peer_id_text(value) if name in ("peer_id", "peer") and value else value.hex()
    if isinstance(value, Mapping):
        return {plain(key): plain(item, key) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item, name) for item in value]
    return value


def body_text(body: bytes) -> dict[str, str]:
    """A message body: `encoding` is utf8 where the body is that, else base64."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return {"body": base64.b64encode(body).decode(), "encoding": "base64"}
    # Escapes can make a text six times as long, and no line may pass 1 MiB: then base64 is the shorter.
    if len(body) > 2**17 and len(encode_json(text)) > 700_000:
        return {"body": base64.b64encode(body).decode(), "encoding": "base64"}
    return {"body": text, "encoding": "utf8"}


def event_body(body: Mapping[str, Any]) -> dict[str, Any]:
    """The body of an event; a message's own body is told with its encoding."""
    rendered: dict[str, Any] = {key: plain(item, key) for key, item in body.items()}
    if isinstance(body.get("body"), bytes):
        rendered |= body_text(body["body"])
    return rendered


def state(outcome: Mapping[str, Any] | None) -> str:
    """What became of an own message; `outcome` is None while it is queued."""
    if outcome is None:
        return "queued"
    if outcome.get("epoch") is not None:
        return "sent"
    return str(outcome.get("state", "undelivered"))


def message(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A message of the history."""
    rendered: dict[str, Any] = {
        key: plain(item, key) for key, item in entry.items() if key not in ("body", "sent")
    }
    rendered |= body_text(entry["body"])
    if entry["own"]:
        rendered["state"] = state(entry["sent"])
        rendered |= plain(entry["sent"] or {})
    return rendered
