"""Runs the support desk and writes what happened as traces: `python deploy/demo/record.py`."""

import argparse
import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from supportdesk.desk import DEFAULT_COUNT, Recorded, record


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Run the demo support desk and write its traces as JSON Lines.",
    )
    parser.add_argument(
        "--count", type=int, default=DEFAULT_COUNT, help="conversations (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="same seed, same bytes (default: 0)")
    parser.add_argument("--out", type=Path, help="file for the traces (default: standard output)")
    parser.add_argument(
        "--groups", type=Path, help="file for the labels: which defect is behind a failed trace"
    )
    arguments = parser.parse_args(argv)
    for path in (arguments.out, arguments.groups):
        if path and not path.absolute().parent.is_dir():
            parser.error(f"the folder of {path} does not exist; make it first")
    if arguments.count < 1:
        parser.error(f"--count must be at least 1, it is {arguments.count}")
    return arguments


def _write_groups(path: Path, recorded: Sequence[Recorded]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("trace_id", "group"))
        writer.writerows((r.trace["trace_id"], r.meets) for r in recorded if r.failed and r.meets)


def main(argv: Sequence[str] | None = None) -> None:
    """Record, and write the files that were asked for."""
    arguments = _arguments(argv)
    recorded = list(record(amount=arguments.count, seed=arguments.seed))
    text = "".join(json.dumps(r.trace, ensure_ascii=False) + "\n" for r in recorded)
    if arguments.out:
        arguments.out.write_bytes(text.encode())
        failed = sum(r.failed for r in recorded)
        print(f"{len(recorded)} traces in {arguments.out}, {failed} of them failed.")
    else:
        sys.stdout.buffer.write(text.encode())
    if arguments.groups:
        _write_groups(arguments.groups, recorded)


if __name__ == "__main__":
    main()
