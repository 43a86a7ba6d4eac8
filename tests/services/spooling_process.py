"""Appends to a spool for ever, several at once, and prints what was acknowledged."""

import asyncio
import sys
from pathlib import Path

import structlog

from services.spool.spool import Spool
from services.stream.port import Message

WRITERS = 8


async def main(folder: Path, start: str) -> None:
    """Append, each writer under a key of its own, numbers that only grow."""
    spool = Spool(folder, max_bytes=1 << 30)
    await spool.start()

    async def write(key: str) -> None:
        number = int(start)
        while True:
            text = f"{key}:{number:012d}"
            await spool.append([Message("traces", key.encode(), text.encode() + b" " * 500)])
            print(text, flush=True)  # noqa: T201 - read by the test
            number += 1

    await asyncio.gather(*(write(f"key-{n}") for n in range(WRITERS)))


structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
