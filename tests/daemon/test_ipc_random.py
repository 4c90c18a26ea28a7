"""Requests at random: whatever their parameters are, each is answered, and none is a fault."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from tests.daemon.node import home, running
from tests.daemon.test_ipc import universe

from starling.daemon.ipc.schema import METHODS

_RANDOM_TEXT = (
    "",
    "lab",
    "\x00",
    "é" * 70,
    "0" * 64,
    "ab" * 16,
    "now",
    "message.sent",
    "\ud800",
    "x" * 20_000,
)


_RANDOM_NUMBERS = (
    -1,
    0,
    1,
    0.5,
    64,
    2**31,
    2**53,
    2**53 + 1,
    2**63,
    10**400,
    1e300,
    float("inf"),
    float("nan"),
)


def _random_value(source: random.Random, depth: int = 0) -> Any:
    choice = source.randrange(7 if depth < 2 else 5)
    match choice:
        case 0:
            return source.choice((None, True, False))
        case 1 | 2:
            return source.choice(_RANDOM_TEXT)
        case 3 | 4:
            return source.choice(_RANDOM_NUMBERS)
        case 5:
            return [_random_value(source, depth + 1) for _ in range(source.randrange(4))]
    return {source.choice(_RANDOM_TEXT): _random_value(source, depth + 1) for _ in range(source.randrange(4))}


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_the_parameters_a_request_is_answered_and_never_a_fault(
    tmp_path: Path, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    source = random.Random(seed)
    names = [name for name in METHODS if name != "daemon.shutdown"]
    async with running(home(tmp_path)) as node:
        client = await node.client()
        await universe(client)
        for number in range(300):
            method = METHODS[source.choice(names)]
            params: Any = {
                parameter.name: "lab" if parameter.kind == "universe" else _random_value(source)
                for parameter in method.params
                if source.random() < 0.6 or parameter.required
            }
            if "timeout" in [parameter.name for parameter in method.params]:
                params["timeout"] = 0
            elif source.random() < 0.1:
                params = _random_value(source)
            answer = await client.line(_request(number, method.name, params))
            while "method" in answer:
                answer = await client.receive()
            assert answer["id"] == number
            assert answer.get("error", {}).get("code") != -32603, (method.name, params)
        assert "failed" not in caplog.text


def _request(number: int, method: str, params: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode()
