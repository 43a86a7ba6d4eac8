"""Scorers as a project writes them, good and bad; imported by the worker process."""

import os
import time
from pathlib import Path
from typing import Any


def polite(trace: dict[str, Any], *, word: str = "please") -> bool:
    return word in str(trace["output"])


def length(trace: dict[str, Any]) -> float:
    return len(trace["output"] or "") / 100


def told(trace: dict[str, Any]) -> dict[str, Any]:
    return {"score": 0.1, "reason": f"{trace['trace_id']} is bad", "severity": "critical"}


def silent(trace: dict[str, Any]) -> None:
    return None


def wrong(trace: dict[str, Any]) -> object:
    return ["a list"]


def infinite(trace: dict[str, Any]) -> float:
    return float("nan")


def raises(trace: dict[str, Any]) -> bool:
    raise KeyError("no such thing")


def leaves(trace: dict[str, Any]) -> bool:
    raise SystemExit(3)


def hangs(trace: dict[str, Any]) -> bool:
    time.sleep(60)
    return True


def dies(trace: dict[str, Any]) -> bool:
    os._exit(9)


def counts(trace: dict[str, Any], *, file: str) -> bool:
    with Path(file).open("a") as log:
        log.write(f"{os.getpid()}\n")
    return True


NOT_A_FUNCTION = 3
