"""A worker's side of the conversation: one JSON object a line, bytes as hex. Needs the standard library only."""

from __future__ import annotations

import gc
import json
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any


def serve(commands: dict[str, Callable[[dict[str, Any]], dict[str, Any]]]) -> None:
    """Answer until the input ends; an error is an answer too."""
    out, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        request = json.loads(line)
        gc.collect()  # what came before shall not be collected while it is measured
        try:
            answer = commands[request["cmd"]](request)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"[:300]}
        out.write(json.dumps(answer) + "\n")
        out.flush()


def nothing() -> None:
    """For what needs no preparation."""


def least(
    times: int, operation: Callable[..., Any], prepare: Callable[[], Any] = nothing
) -> tuple[Any, float]:
    """What the operation gave, and its quickest of some runs; each has something that was prepared for it."""
    runs = []
    for _ in range(times):
        prepared = prepare()
        runs.append(timed(operation if prepared is None else partial(operation, prepared)))
    return runs[-1][0], min(milliseconds for _, milliseconds in runs)


def timed(operation: Callable[[], Any]) -> tuple[Any, float]:
    """What it gave, and the milliseconds of processor time it took: others on the machine do not count."""
    began = time.process_time()
    result = operation()
    return result, 1000 * (time.process_time() - began)


def median_of(operation: Callable[[], Any], times: int) -> float:
    """The median in milliseconds of a short operation."""
    return statistics.median(timed_without_collecting(operation) for _ in range(times))


def timed_without_collecting(operation: Callable[[], Any]) -> float:
    began = time.process_time()
    operation()
    return 1000 * (time.process_time() - began)
