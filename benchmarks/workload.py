"""Traces to measure with, and the process under measurement."""

import contextlib
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil

ROOT = Path(__file__).resolve().parent.parent
COMMAND = Path(sys.executable).parent / "evalratchet"

_WORDS = (
    *("refund", "order", "parcel", "delivery", "invoice", "card", "payment", "account"),
    *("password", "reset", "tracking", "return", "exchange", "size", "colour", "warranty"),
    *("repair", "address", "change", "cancel", "subscription", "renew", "voucher", "discount"),
    *("balance", "statement", "transfer", "limit", "charge", "fee", "currency", "delay"),
    *("missing", "damaged", "wrong"),
)
_OPENERS = (
    "Where is my",
    "Why was I charged for the",
    "How do I change the",
    "I cannot find the",
    "Please cancel the",
    "When will you send the",
    "What happened to the",
    "Somebody else got my",
)


def make_trace(number: int, *, failing: bool, project: str = "bench") -> dict[str, Any]:
    """A trace of about 2.5 kB of JSON: a question, a tool call, its result, an answer."""
    rng = random.Random(number)
    subject = " ".join(rng.sample(_WORDS, 6))
    question = f"{rng.choice(_OPENERS)} {subject}?"
    prose = " ".join(rng.choices(_WORDS, k=92))
    return {
        "trace_id": f"{project}-{number:08d}",
        "project": project,
        "environment": "production",
        "release": "2026.11.1",
        "model": "gpt-4o",
        "started_at": "2026-11-01T12:00:00Z",
        "latency_ms": 812.5,
        "cost_usd": 0.0021,
        "tokens_in": 512,
        "tokens_out": 128,
        "session_id": f"session-{number % 97}",
        "user_id": f"user-{number % 31}",
        "input": question,
        "output": prose[:600],
        "steps": [
            {"type": "user", "content": question},
            {
                "type": "tool_call",
                "name": "search",
                "call_id": "call-1",
                "arguments": {"query": subject, "limit": 5},
            },
            {"type": "tool_result", "name": "search", "call_id": "call-1", "content": prose},
            {"type": "assistant", "content": prose[:600]},
        ],
        "signals": [{"name": "task_resolved", "value": 0 if failing else 1, "source": "outcome"}],
        "metadata": {"region": "eu", "experiment_arm": number % 2},
    }


def encoded(traces: list[dict[str, Any]]) -> bytes:
    """The body of a `POST /v1/captures`."""
    return json.dumps({"traces": traces}, separators=(",", ":")).encode()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def server(*arguments: str, **settings: str) -> Iterator[tuple[str, psutil.Process, Path]]:
    """A service in a data folder of its own: its address, its process and the folder."""
    home = Path(tempfile.mkdtemp(prefix="evalratchet-bench-"))
    address = f"127.0.0.1:{free_port()}"
    environment = os.environ | {
        "EVALRATCHET_HOME": str(home),
        "EVALRATCHET_LISTEN": address,
        "EVALRATCHET_SETTLE_SECONDS": "0",
        **{f"EVALRATCHET_{name.upper()}": value for name, value in settings.items()},
    }
    if arguments[0] == "serve":  # `up` migrates by itself, which is part of its start
        subprocess.run(
            [COMMAND, "db", "upgrade"], env=environment, stdout=subprocess.DEVNULL, check=True
        )
    with (home / "log").open("w") as log:
        started = subprocess.Popen([COMMAND, *arguments], env=environment, stdout=log, stderr=log)
    try:
        yield f"http://{address}", psutil.Process(started.pid), home
    finally:
        started.terminate()
        started.wait(60)
        shutil.rmtree(home, ignore_errors=True)


def wait_until_answers(url: str, seconds: float = 30) -> float:
    """Post one trace until it is taken; the seconds that took."""
    began = time.perf_counter()
    body = encoded([make_trace(99_999_999, failing=False)])
    while time.perf_counter() - began < seconds:
        with contextlib.suppress(httpx.TransportError):
            headers = {"content-type": "application/json"}
            if httpx.post(f"{url}/v1/captures", content=body, headers=headers).is_success:
                return time.perf_counter() - began
        time.sleep(0.02)
    message = f"{url} took no trace within {seconds} s"
    raise TimeoutError(message)


def percentile(values: list[float], share: float) -> float:
    """The value that this share of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
