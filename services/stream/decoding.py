"""Records to events, or to why one is none."""

import asyncio
from collections.abc import Callable, Sequence

from services.errors import Undecodable
from services.stream import envelope
from services.stream.outcome import DeadLetter, Event
from services.stream.port import Record

_BREATH_BYTES = 512 * 1024  # about 1 ms of decoding

Readable = tuple[Record, Event]


async def decoded(
    records: Sequence[Record], decode: Callable[[Record], Event], accepts: tuple[type, ...]
) -> tuple[list[Readable], list[tuple[Record, DeadLetter]]]:
    """What can be read and has a place in the topic, and dead letters of the rest."""
    readable: list[Readable] = []
    dead: list[tuple[Record, DeadLetter]] = []
    size = 0
    for record in records:
        if (size := size + len(record.value)) > _BREATH_BYTES:
            await asyncio.sleep(0)  # what else runs in this process is not kept waiting
            size = 0
        try:
            event = decode(record)
        except envelope.UnknownSchema as error:
            dead.append((record, DeadLetter("unknown_schema", str(error))))
        except Undecodable as error:
            dead.append((record, DeadLetter("undecodable", str(error))))
        else:
            fits: bool = isinstance(event, accepts)
            if fits:
                readable.append((record, event))
            else:
                dead.append((record, _misplaced(record)))
    return readable, dead


def _misplaced(record: Record) -> DeadLetter:
    detail = f"{record.header('schema')} has no place in {record.topic}"
    return DeadLetter("unexpected_schema", detail)
