"""What hostile clients get from a real server, and what they cost it.

    .venv/bin/python benchmarks/hostile.py [--rounds 5]

A bomb of 1 GiB in 1 MiB of gzip, a thousand connections that send a header a second, and every request
of `tests/http/malformed_corpus.py`, several times. Prints answers, times and memory; exits 1 when one
is not as promised. Linux: the largest memory is read from /proc.
"""

import argparse
import asyncio
import contextlib
import sys
import time
import zlib
from pathlib import Path

import httpx
import psutil
from workload import ROOT, server, wait_until_answers

sys.path.insert(0, str(ROOT / "tests" / "http"))
from malformed_corpus import CLOSING, CONNECTIONS, REQUESTS, TAKEN

_BOMB_BYTES = 1 << 30
_BOMBS = 5
_SLOW_CLIENTS = 1000
_BOMB_SECONDS, _BOMB_MIB = 0.1, 64.0
_FLAT_MIB = 16.0
MIB = 1 << 20


def bomb(encoding: str) -> bytes:
    """1 GiB of zeros, compressed to about 1 MiB."""
    compressor = zlib.compressobj(9, wbits=31 if encoding == "gzip" else 15)
    block = bytes(1 << 24)
    parts = [compressor.compress(block) for _ in range(_BOMB_BYTES // len(block))]
    return b"".join([*parts, compressor.flush()])


def forget_peak(process: psutil.Process) -> float:
    """Begin to measure the largest memory anew; the memory now, in MiB."""
    Path(f"/proc/{process.pid}/clear_refs").write_text("5")
    return float(process.memory_info().rss) / MIB


def peak(process: psutil.Process) -> float:
    """The largest resident memory since `forget_peak`, in MiB."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def until_idle(process: psutil.Process) -> None:
    """Return when the process has loaded what it loads in the background after its start."""
    idle = 0
    while idle < 3:
        idle = idle + 1 if process.cpu_percent(0.5) < 10 else 0


def bombs(url: str, process: psutil.Process) -> bool:
    """Send bombs one after the other; whether all was as promised."""
    well = True
    with httpx.Client(base_url=url, timeout=60) as client:
        for encoding in ("gzip", "deflate"):
            body = bomb(encoding)
            for path in ("/v1/captures", "/v1/traces"):
                headers = {"content-type": "application/json", "content-encoding": encoding}
                times: list[float] = []
                before = forget_peak(process)
                for _ in range(_BOMBS):
                    began = time.perf_counter()
                    answer = client.post(path, content=body, headers=headers)
                    times.append(time.perf_counter() - began)
                    well &= answer.status_code == 413
                more = peak(process) - before
                print(
                    f"1 GiB in {len(body) / MIB:.2f} MiB of {encoding:7} to {path:13} "
                    f"{answer.status_code} after {min(times) * 1000:.0f} to {max(times) * 1000:.0f} "
                    f"ms ({_BOMBS} times), {more:.1f} MiB more memory"
                )
                well &= min(times) < _BOMB_SECONDS and more < _BOMB_MIB
    return well


async def slow_clients(url: str, process: psutil.Process) -> bool:
    """Many that send a header now and then; whether others are served and the slow ones are cut off."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    before = forget_peak(process)
    began = time.perf_counter()
    held = [await asyncio.open_connection(host, int(port)) for _ in range(_SLOW_CLIENTS)]

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            writer.write(b"POST /v1/captures HTTP/1.1\r\nHost: x\r\n")
            while not reader.at_eof():
                writer.write(b"X-A: b\r\n")
                await writer.drain()
                with contextlib.suppress(TimeoutError):
                    while await asyncio.wait_for(reader.read(4096), 1):
                        pass  # the answer, and then the end
        writer.close()

    dripping = [asyncio.create_task(drip(*pair)) for pair in held]
    await asyncio.sleep(1)
    async with httpx.AsyncClient(base_url=url) as client:
        asked = time.perf_counter()
        answer = await client.get("/readyz")
        waited = time.perf_counter() - asked
    await asyncio.gather(*dripping)
    print(
        f"{_SLOW_CLIENTS} connections of a header a second: another is answered {answer.status_code} "
        f"after {waited * 1000:.1f} ms; all are cut off after {time.perf_counter() - began:.1f} s; "
        f"{peak(process) - before:.1f} MiB more memory"
    )
    return answer.status_code == 200 and waited < 1


async def malformed(url: str, process: psutil.Process, rounds: int) -> bool:
    """Every request of the corpus, again and again; whether each had its answer and memory is flat."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    wrong: list[str] = []
    sent = 0

    async def say(number: int, raw: bytes, expected: int) -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        answered = b""
        with contextlib.suppress(ConnectionError):
            writer.write(raw)
            while part := await asyncio.wait_for(reader.read(65536), 30):
                answered += part
        writer.close()
        status = int(answered.split(b" ", 2)[1]) if answered else 0
        if status != expected:
            wrong.append(f"connection {number}: {status}, expected {expected}")

    async with httpx.AsyncClient(base_url=url, timeout=60) as client:

        async def post(number: int, path: str, headers: dict[str, str], body: bytes) -> int:
            answer = await client.post(path, content=body, headers=headers)
            expected = {REQUESTS[number][3]} if number < len(REQUESTS) else {200, 202}
            if answer.status_code not in expected:
                wrong.append(f"request {number}: {answer.status_code}, expected {expected}")
            return answer.status_code

        memory: list[float] = []
        for _ in range(rounds + 1):
            for number, (path, headers, body, *_rest) in enumerate([*REQUESTS, *TAKEN]):
                await post(number, path, headers, body)
            for number, (raw, expected) in enumerate(CONNECTIONS):
                await say(number, raw, expected)
            sent += len(REQUESTS) + len(TAKEN) + len(CONNECTIONS)
            memory.append(process.memory_info().rss / MIB)
    await say(-1, CLOSING, 202)
    grown = memory[-1] - memory[0]  # after the first round, which loads what is loaded late
    print(
        f"{sent} requests of {len(REQUESTS)} malformed, {len(TAKEN)} odd and {len(CONNECTIONS)} "
        f"broken kinds: {len(wrong)} answered wrongly; memory {memory[0]:.0f} MiB after the first "
        f"round, {grown:+.1f} MiB after {rounds} more; the process is {process.status()}"
    )
    for line in wrong[:10]:
        print(f"  {line}")
    return not wrong and grown < _FLAT_MIB and process.is_running()


def main() -> int:
    """Measure and print; 0 when all was as promised."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="of the corpus of malformed requests")
    options = parser.parse_args()
    with server("serve", "capture", header_seconds="5") as (url, process, _):
        wait_until_answers(url)
        until_idle(process)
        well = bombs(url, process)
        well &= asyncio.run(slow_clients(url, process))
    limits = {"max_trace_bytes": "20000", "max_request_bytes": "200000"}
    with server("serve", "capture", **limits) as (url, process, _):
        wait_until_answers(url)
        until_idle(process)
        well &= asyncio.run(malformed(url, process, options.rounds))
    print("as promised" if well else "NOT as promised")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
