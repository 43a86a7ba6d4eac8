"""What scoring a passing trace costs: the default policy, and every kind of scorer alone.

Run: `python benchmarks/scoring.py FILE.jsonl`, a file of native traces.
"""

import sys
import timeit
from pathlib import Path
from typing import Any

import msgspec

from capture.policy import ScoringPolicy
from capture.scorers import examine
from capture.trace import Trace

KINDS: tuple[dict[str, Any], ...] = (
    {"type": "error"},
    {"type": "latency", "above_ms": 1e9},
    {"type": "cost", "above_usd": 1e9},
    {"type": "tokens", "above": 10**9},
    {"type": "empty_output"},
    {"type": "truncated"},
    {"type": "json_schema", "schema": {"type": "string"}, "target": "tool:none"},
    {"type": "tool_call"},
    {"type": "regex", "pattern": "lorem (ipsum|dolor)"},
    {"type": "refusal"},
    {"type": "feedback"},
    {"type": "score", "signal": "none", "below": 0},
    {"type": "language"},
)
ROUNDS = 20


def microseconds(traces: list[Trace], policy: ScoringPolicy) -> float:
    """For one trace, the best of three runs."""
    examine(traces[0], policy)
    runs = timeit.repeat(
        lambda: [examine(trace, policy) for trace in traces], number=ROUNDS, repeat=3
    )
    return min(runs) / ROUNDS / len(traces) * 1e6


def main() -> None:
    """Print a line for each."""
    lines = Path(sys.argv[1]).read_bytes().splitlines()
    every = [msgspec.json.decode(line, type=Trace) for line in lines if line.strip()]
    passing = [trace for trace in every if not examine(trace, ScoringPolicy()).signals]
    print(f"{len(passing)} passing traces of {len(every)}")
    print(f"{'default policy':16} {microseconds(passing, ScoringPolicy()):8.2f} µs")
    for kind in KINDS:
        policy = msgspec.convert({"scorers": [kind]}, ScoringPolicy)
        print(f"{kind['type']:16} {microseconds(passing, policy):8.2f} µs")


if __name__ == "__main__":
    main()
