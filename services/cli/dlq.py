"""`dlq list` and `dlq show`: what stages could not handle."""

from datetime import UTC, datetime
from typing import Any, NoReturn

import msgspec

from services.cli.opened import effective_settings, opened_store, opened_stream, run
from services.cli.output import one_line, print_fields, print_json, print_table, printable, when
from services.cli.problem import misused, note, refuse
from services.stream.port import Record
from services.stream.topics import STAGES, Stage, Topics

_HEX_BYTES = 16


class Letter(msgspec.Struct, frozen=True):
    """A dead letter and whether it was replayed."""

    stage: Stage
    record: Record
    replayed: bool

    @property
    def place(self) -> str:
        """What people name it by: STAGE:PARTITION:OFFSET."""
        return f"{self.stage}:{self.record.partition}:{self.record.offset}"

    @property
    def parked_at(self) -> datetime:
        """When it was parked, in UTC."""
        return datetime.fromtimestamp(self.record.timestamp_ms / 1000, tz=UTC)


def list_letters(*, stage: Stage | None, limit: int, replayed: bool, as_json: bool) -> None:
    """Print dead letters, the newest first."""
    letters = run(read_letters([stage] if stage else STAGES, limit=limit))
    shown = [letter for letter in letters if replayed or not letter.replayed]
    if as_json:
        print_json([_summary(letter) for letter in shown])
        return
    if not shown:
        hidden = f" {len(letters)} were replayed; --replayed shows them." if letters else ""
        note(f"There are no dead letters.{hidden}")
        return
    rows = [
        [
            letter.place,
            when(letter.parked_at),
            letter.record.header("dlq.stage") or letter.stage,
            letter.record.header("dlq.reason") or "",
            *(["yes" if letter.replayed else ""] if replayed else []),
            one_line(letter.record.header("dlq.detail") or "", 200),
        ]
        for letter in shown
    ]
    columns = ["id", "time", "stage", "reason", *(["replayed"] if replayed else []), "detail"]
    print_table(columns, rows, flexible="detail")


def show_letter(place: str, *, as_json: bool) -> None:
    """Print one dead letter: headers and body."""
    letter = run(_one(place))
    if as_json:
        print_json(_summary(letter) | _content(letter.record))
        return
    record = letter.record
    replayed = "yes" if letter.replayed else "no"
    about = [
        ("id", letter.place),
        ("time", when(letter.parked_at)),
        ("replayed", replayed),
        ("key", record.key.decode("utf-8", "backslashreplace")),
    ]
    headers = [(name, value.decode("utf-8", "backslashreplace")) for name, value in record.headers]
    print_fields([*about, ("", ""), *headers])
    print(f"\n{len(record.value)} bytes:")
    print(_readable(record.value))


def parse_place(text: str) -> tuple[Stage, int, int]:
    """STAGE:PARTITION:OFFSET, as `dlq list` shows it. Raises `Problem`."""
    stage, _, rest = text.partition(":")
    partition, _, offset = rest.partition(":")
    for known in STAGES:
        if stage == known and partition.isdecimal() and offset.isdecimal():
            return known, int(partition), int(offset)
    return misused(
        f"{text!r} is not the id of a dead letter.",
        f"Ids are STAGE:PARTITION:OFFSET with a stage of {', '.join(STAGES)}, for example "
        "scorer:0:17; `evalratchet dlq list` shows them.",
    )


def no_letter(place: str) -> NoReturn:
    """Say that there is none (any more) at a place. Raises `Problem`."""
    refuse(
        f"There is no dead letter {place}.",
        "See `evalratchet dlq list --replayed`; the retention may have deleted it.",
    )


async def read_letters(stages: tuple[Stage, ...] | list[Stage], *, limit: int) -> list[Letter]:
    """The newest dead letters of some stages, the newest first, at most `limit` of each."""
    settings = effective_settings()
    topics = Topics(settings.topic_prefix)
    letters: list[Letter] = []
    async with opened_store(settings) as store, opened_stream(settings) as stream:
        for stage in stages:
            topic = topics.dead_letters(stage)
            done = await store.replays.replayed(topic)
            letters += [
                Letter(stage, record, (record.partition, record.offset) in done)
                for record in await stream.browse(topic, limit=limit)
            ]
    newest_last = sorted(letters, key=lambda one: (one.record.timestamp_ms, one.record.offset))
    return newest_last[::-1]


async def _one(place: str) -> Letter:
    stage, partition, offset = parse_place(place)
    settings = effective_settings()
    topic = Topics(settings.topic_prefix).dead_letters(stage)
    async with opened_store(settings) as store, opened_stream(settings) as stream:
        record = await stream.read_one(topic, partition, offset)
        if record is None:
            no_letter(place)
        return Letter(stage, record, (partition, offset) in await store.replays.replayed(topic))


def _summary(letter: Letter) -> dict[str, Any]:
    header = letter.record.header
    return {
        "id": letter.place,
        "parked_at": msgspec.to_builtins(letter.parked_at),
        "stage": header("dlq.stage") or letter.stage,
        "reason": header("dlq.reason"),
        "detail": header("dlq.detail"),
        "schema": header("schema"),
        "project": header("project"),
        "event_id": header("event_id"),
        "replayed": letter.replayed,
        "bytes": len(letter.record.value),
    }


def _content(record: Record) -> dict[str, Any]:
    headers = [[name, value.decode("utf-8", "backslashreplace")] for name, value in record.headers]
    text = _text(record.value)
    body = {"body": text} if text is not None else {"body_hex": record.value.hex()}
    return {"key": record.key.decode("utf-8", "backslashreplace"), "headers": headers} | body


def _text(value: bytes) -> str | None:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return None
    return text if printable(text) == text else None


def _readable(value: bytes) -> str:
    """JSON indented, other text as it is, anything else as a hex dump."""
    text = _text(value)
    if text is None:
        return _hex_dump(value)
    try:
        return msgspec.json.format(text, indent=2)
    except (msgspec.DecodeError, RecursionError):
        return text


def _hex_dump(value: bytes) -> str:
    lines = []
    for start in range(0, len(value), _HEX_BYTES):
        row = value[start : start + _HEX_BYTES]
        shown = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)  # noqa: PLR2004 - ASCII
        lines.append(f"{start:08x}  {row.hex(' '):<{3 * _HEX_BYTES}} {shown}")
    return "\n".join(lines)
