"""What a trace costs until it is durable, and how long a single post waits, on the embedded default.

    .venv/bin/python benchmarks/ingest.py [--batches 300] [--singles 2000] [--rate 200]

`serve capture` alone is measured with scoring put off (settle time one hour), which is the cost
until durable; `up` with settle time 0 is the same posts with everything that follows going on.
"""

import argparse
import asyncio
import time

import httpx
import psutil
from workload import encoded, make_trace, percentile, server, wait_until_answers

_CONNECTIONS = 16
_REST_SECONDS = 10.0  # the steady state is asked for, not what a burst of batches leaves behind
_HEAD = (
    "POST /v1/captures HTTP/1.1\r\nhost: evalratchet\r\ncontent-type: application/json\r\n"
    "content-length: {length}\r\n\r\n"
)
JSON = {"content-type": "application/json"}


def cpu_seconds(process: psutil.Process) -> float:
    """User and system time of the server process, all threads, in seconds."""
    times = process.cpu_times()
    return times.user + times.system


def batches(url: str, process: psutil.Process, count: int) -> tuple[float, float]:
    """CPU milliseconds a trace and traces a second, over batches of 100 posted one after another."""
    bodies = [
        encoded([make_trace(batch * 100 + n, failing=False) for n in range(100)])
        for batch in range(count)
    ]
    with httpx.Client() as client:
        before, began = cpu_seconds(process), time.perf_counter()
        for body in bodies:
            client.post(f"{url}/v1/captures", content=body, headers=JSON).raise_for_status()
        spent, took = cpu_seconds(process) - before, time.perf_counter() - began
    return spent * 1000 / (count * 100), count * 100 / took


async def singles(url: str, count: int, rate: int) -> list[float]:
    """Milliseconds of each single-trace post, sent at a steady rate whatever the answers do.

    A wait counts from the moment the post was due, so that a server that stalls is not spared the
    posts it held up. The client is bare sockets: a comfortable one takes as much CPU as the server.
    """
    host, _, port = url.removeprefix("http://").partition(":")
    bodies = [encoded([make_trace(10_000_000 + n, failing=False)]) for n in range(count)]
    start = time.perf_counter() + 0.5
    waited: list[float] = []

    async def connection(first: int) -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        for number in range(first, count, _CONNECTIONS):
            due = start + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            head = _HEAD.format(length=len(bodies[number])).encode()
            writer.write(head + bodies[number])
            answer = await reader.readuntil(b"\r\n\r\n")
            if not answer.startswith(b"HTTP/1.1 202"):
                raise RuntimeError(answer.decode())
            length = int(answer.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            waited.append((time.perf_counter() - due) * 1000)
        writer.close()

    await asyncio.gather(*(connection(n) for n in range(_CONNECTIONS)))
    return waited[count // 10 :]


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=300)
    parser.add_argument("--singles", type=int, default=2000)
    parser.add_argument("--rate", type=int, default=200)
    chosen = parser.parse_args()
    size = len(encoded([make_trace(n, failing=False) for n in range(100)])) / 100
    print(f"traces of {size:.0f} bytes")
    kinds = {
        "serve capture, until durable": (("serve", "capture"), {"settle_seconds": "3600"}),
        "up, everything going on": (("up",), {"embedding_model": "hashing"}),
    }
    for name, (arguments, settings) in kinds.items():
        with server(*arguments, **settings) as (url, process, _):
            wait_until_answers(url)
            batches(url, process, 20)
            cost, rate = batches(url, process, chosen.batches)
            print(f"{name}: {cost:.3f} ms CPU a trace, {rate:,.0f} traces/s (batches of 100)")
            time.sleep(_REST_SECONDS)
            waited = asyncio.run(singles(url, chosen.singles, chosen.rate))
            p50, p99 = percentile(waited, 0.5), percentile(waited, 0.99)
            print(f"{name}: single post p50 {p50:.2f} ms, p99 {p99:.2f} ms at {chosen.rate}/s")


if __name__ == "__main__":
    main()
