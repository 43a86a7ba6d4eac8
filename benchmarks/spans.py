"""Taking OTLP spans until they are durable, side by side: ours, the bare reference, MLflow, Phoenix.

    .venv/bin/python benchmarks/spans.py                       # ours and the bare reference
    .venv/bin/python benchmarks/spans.py --peers ~/.cache/evalratchet-peers    # MLflow and Phoenix too
    .venv/bin/python benchmarks/spans.py --only capture --quick                # while changing something

The peers are installed by `uv` into environments of their own below the folder that `--peers` names,
once. Spans are those of a support agent, ten a trace (`peers/agent_spans.py`), always the same. CPU is
that of the server's whole process tree, work that follows the answers included. Durable is what is
found in the server's files. Losses are counted after SIGKILL under saturation, and after SIGTERM.
"""

import argparse
import json
import signal
import sys
from pathlib import Path

from peers.environments import installed
from peers.figures import Figures, Options, Pools, measure
from peers.servers import Kind, bare, mlflow, ours, phoenix

_OURS = {
    "capture": ("serve capture", ("serve", "capture"), "3600"),
    "up": ("up", ("up",), "0"),
}
_ROWS = (
    ("CPU a span, 100 a request, ms", "0.10"),
    ("CPU a span, 10 a request, ms", ""),
    ("CPU a span, 1 a request, ms", "0.35"),
    ("durable spans/s, 100 a request", "8,000"),
    ("POST p50, 1 span, {rate} requests/s, ms", "3"),
    ("POST p99, 1 span, {rate} requests/s, ms", "15"),
    ("lost of acknowledged, SIGKILL x {rounds}", "0"),
    ("lost of acknowledged, SIGTERM", "0"),
)


def cells(figures: Figures) -> list[str]:
    """A column of the table."""
    return [
        *(f"{figures.cost_ms[size]:.3f}" for size in (100, 10, 1)),
        f"{figures.durable_a_second:,.0f}",
        f"{figures.p50_ms:.1f}",
        f"{figures.p99_ms:.1f}",
        *(_lost(*one) for one in (figures.killed, figures.terminated)),
    ]


def _lost(acknowledged: int, lost: int) -> str:
    return f"{lost:,} of {acknowledged:,}"


def table(columns: dict[str, Figures], options: Options) -> str:
    """The table as Markdown."""
    names = [row[0].format(rate=options.rate, rounds=options.rounds) for row in _ROWS]
    rows = [["", *names], ["reach", *(row[1] for row in _ROWS)]]
    rows += [[name, *cells(figures)] for name, figures in columns.items()]
    lines = [list(line) for line in zip(*rows, strict=True)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(rows))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in lines
    )


def kinds(only: list[str] | None, peers: Path | None) -> list[Kind]:
    """The servers to measure, in the order of the columns."""
    chosen = [*_OURS, "bare", *(["mlflow", "phoenix"] if peers else [])]
    if only:
        chosen = [one for name in only for one in (_OURS if name == "ours" else [name])]
    made = []
    for name in chosen:
        if name in _OURS:
            title, arguments, settle = _OURS[name]
            made.append(ours(title, *arguments, settle_seconds=settle))
        elif name == "bare":
            made.append(bare())
        elif peers is None:
            message = f"--only {name} needs --peers FOLDER, where it is installed"
            raise SystemExit(message)
        elif name == "mlflow":
            made.append(mlflow(installed(peers, "mlflow")))
        else:
            made.append(phoenix(installed(peers, "phoenix")))
    return made


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = ["ours", *_OURS, "bare", "mlflow", "phoenix"]
    parser.add_argument("--only", nargs="+", choices=names)
    parser.add_argument(
        "--peers", type=Path, metavar="FOLDER", help="measure MLflow and Phoenix too"
    )
    parser.add_argument("--quick", action="store_true", help="a fifth of everything, one kill")
    parser.add_argument("--spans", type=int, default=60_000, help="for the cost at 100 a request")
    parser.add_argument("--seconds", type=float, default=15, help="of saturation")
    parser.add_argument("--rate", type=int, default=200, help="single-span requests a second")
    parser.add_argument("--posts", type=int, default=3000, help="at that rate")
    parser.add_argument("--rounds", type=int, default=3, help="SIGKILLs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    given = parser.parse_args()
    options = Options(given.spans, given.seconds, given.rate, given.posts, given.rounds)
    if given.quick:
        options = Options(given.spans // 5, given.seconds / 5, given.rate, given.posts // 5, 1)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no server is left running
    pools = Pools()
    print(f"spans of {pools.span_bytes():,.0f} bytes on the wire, ten a trace")
    columns: dict[str, Figures] = {}
    for kind in kinds(given.only, given.peers):
        columns[kind.name] = measure(kind, pools, options)
        print(f"{kind.name}: {', '.join(cells(columns[kind.name]))}", flush=True)
    print()
    print(table(columns, options))
    if given.json:
        figures = {name: one._asdict() for name, one in columns.items()}
        given.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
