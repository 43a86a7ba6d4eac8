"""How soon `evalratchet up` takes its first trace, and how much memory it has before the model.

.venv/bin/python benchmarks/start.py [--rounds 7]
"""

import argparse
import time

import psutil
from workload import percentile, server, wait_until_answers


def tree_megabytes(process: psutil.Process) -> float:
    """Unique memory of a process and its children, in MB: shared pages count once."""
    family = [process, *process.children(recursive=True)]
    return sum(one.memory_full_info().uss for one in family) / 1e6


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    seconds, own, tree = [], [], []
    for _ in range(rounds):
        began = time.perf_counter()
        with server("up") as (url, process, _):
            wait_until_answers(url)
            seconds.append(time.perf_counter() - began)
            own.append(process.memory_info().rss / 1e6)
            tree.append(tree_megabytes(process))
    print(
        f"first 2xx after the start: p50 {percentile(seconds, 0.5):.2f} s, worst {max(seconds):.2f} s"
    )
    print(f"server process then: {percentile(own, 0.5):.0f} MB resident")
    print(f"with the worker that has begun to load: {percentile(tree, 0.5):.0f} MB unique")


if __name__ == "__main__":
    main()
