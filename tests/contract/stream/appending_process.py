"""Appends to a stream for ever, and prints what was acknowledged."""

import asyncio
import sys
from pathlib import Path

from services.stream.port import Message
from services.stream.sqlite import SqliteStream


async def main(file: Path, name: str) -> None:
    """Append one message after another."""
    stream = SqliteStream(file, retention_ms=3_600_000, max_message_bytes=1 << 20)
    await stream.start()
    number = 0
    while True:
        value = f"{name}-{number}"
        await stream.publish([Message("work", b"key", value.encode())])
        print(value, flush=True)  # noqa: T201 - read by the test
        number += 1


asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
