"""`dlq replay`: dead letters back to the topics they came from."""

from collections import defaultdict
from collections.abc import Sequence

import msgspec

from services.cli.dlq import Letter, no_letter, parse_place
from services.cli.opened import effective_settings, opened_store, opened_stream, run
from services.cli.problem import ExitCode, note, refuse
from services.errors import Undecodable
from services.store.open import Store
from services.stream import envelope
from services.stream.port import Message, Stream
from services.stream.topics import STAGES, Stage, Topics

_BATCH = 100  # letters published together: one may be as large as the largest message


class _Replay(msgspec.Struct, frozen=True):
    letter: Letter
    message: Message


def replay_letters(
    places: Sequence[str], *, everything: bool, stage: Stage | None, again: bool, dry_run: bool
) -> None:
    """Publish dead letters once more and remember that they were replayed."""
    if everything == bool(places) or (stage is not None and not everything):
        refuse(
            "Name the dead letters to replay, or say --all (with --stage for one stage).",
            "For example: evalratchet dlq replay scorer:0:17",
            code=ExitCode.USAGE,
        )
    wanted = [parse_place(place) for place in places]
    stages = [stage] if stage is not None else list(STAGES)
    lines, done = run(_replay(wanted, stages, again=again, dry_run=dry_run))
    for line in lines:
        print(line)
    if dry_run:
        print(f"{done} would be replayed (--dry-run).")
    else:
        print(f"{done} replayed.")
        if done:
            note("`evalratchet status --wait` returns when they are through.")


async def _replay(
    wanted: Sequence[tuple[Stage, int, int]],
    stages: Sequence[Stage],
    *,
    again: bool,
    dry_run: bool,
) -> tuple[list[str], int]:
    settings = effective_settings()
    topics = Topics(settings.topic_prefix)
    async with opened_store(settings) as store, opened_stream(settings) as stream:
        letters = (
            await _named(store, stream, topics, wanted)
            if wanted
            else await _all(store, stream, topics, stages)
        )
        lines: list[str] = []
        replays: list[_Replay] = []
        for letter in letters:
            if letter.replayed and not again:
                if wanted:
                    lines.append(f"{letter.place}: replayed before; --again does it once more")
                continue
            try:
                message = envelope.revive(letter.record)
            except Undecodable as error:
                lines.append(f"{letter.place}: {error}")
                continue
            replays.append(_Replay(letter, message))
            lines.append(f"{letter.place}: to {message.topic}")
        if not dry_run:
            await _publish(store, stream, topics, replays)
        return lines, len(replays)


async def _publish(
    store: Store, stream: Stream, topics: Topics, replays: Sequence[_Replay]
) -> None:
    """Publish, then mark: to die in between means to replay twice, which does no harm."""
    for start in range(0, len(replays), _BATCH):
        batch = replays[start : start + _BATCH]
        await stream.publish([replay.message for replay in batch])
        marks: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for replay in batch:
            record = replay.letter.record
            topic = topics.dead_letters(replay.letter.stage)
            marks[topic].append((record.partition, record.offset))
        for topic, places in marks.items():
            await store.replays.mark_replayed(topic, places)


async def _named(
    store: Store, stream: Stream, topics: Topics, wanted: Sequence[tuple[Stage, int, int]]
) -> list[Letter]:
    letters = []
    for stage, partition, offset in wanted:
        topic = topics.dead_letters(stage)
        record = await stream.read_one(topic, partition, offset)
        if record is None:
            no_letter(f"{stage}:{partition}:{offset}")
        done = (partition, offset) in await store.replays.replayed(topic)
        letters.append(Letter(stage, record, done))
    return letters


async def _all(
    store: Store, stream: Stream, topics: Topics, stages: Sequence[Stage]
) -> list[Letter]:
    letters: list[Letter] = []
    for stage in stages:
        topic = topics.dead_letters(stage)
        kept = (await stream.lag(topic, topics.group(stage))).waiting  # no group reads dead letters
        if not kept:
            continue
        done = await store.replays.replayed(topic)
        letters += [
            Letter(stage, record, (record.partition, record.offset) in done)
            for record in await stream.browse(topic, limit=kept)
        ]
    return letters
