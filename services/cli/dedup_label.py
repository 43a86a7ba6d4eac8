"""`dedup label`: are these two the same failure?"""

import getpass
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from dedup.calibrate import NEEDED
from dedup.labels import DRAWN, Verdict, in_order
from services.calibrating import Pair, pairs_to_ask
from services.cli.dedup_what_if import nothing_to_replay
from services.cli.keypress import chosen
from services.cli.one_project import one_project
from services.cli.opened import effective_settings, opened_store, run
from services.cli.output import print_json
from services.cli.problem import misused, note, refuse
from services.cli.side_by_side import print_side_by_side
from services.coverage import effective_distance
from services.labelling import PairLabel
from services.store.open import Store

Choice = Literal["same", "different", "skip", "undo", "stop"]
_KEYS: dict[str, Choice] = {
    "s": "same",
    "d": "different",
    "k": "skip",
    "u": "undo",
    "q": "stop",
}
_PROMPT = "[s]ame  [d]ifferent  s[k]ip  [u]ndo  [q]uit?"


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """A line of an answers file. What else is in it, such as the pair's texts, is not looked at."""

    first: str
    second: str
    verdict: Literal["same", "different", "skip"]


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What was answered now, and what there is in all to calibrate from."""

    project: str
    same: int
    different: int
    skipped: int
    same_in_all: int
    different_in_all: int


def label_pairs(
    project: str | None, *, count: int, by: str | None, seed: int | None, as_json: bool
) -> None:
    """Ask about pairs, or print them as JSON without asking."""
    run(_label(project, count, by or getpass.getuser(), seed, as_json=as_json))


def take_answers(project: str | None, file: str, *, by: str | None, as_json: bool) -> None:
    """Keep the answers of a file."""
    summary = run(_take(project, _read(file), by or getpass.getuser()))
    if as_json:
        print_json(summary)
    else:
        _print_summary(summary)


async def _label(
    project: str | None, count: int, by: str, seed: int | None, *, as_json: bool
) -> None:
    async with opened_store(effective_settings()) as store:
        name = await one_project(store, project)
        _, policy = await store.policies.current(name)
        around = await effective_distance(store.knob, name, policy.dedup)
        if not as_json and sys.stdin.isatty():
            note(f"Looking for the pairs of {name} whose answer tells most ...")
        pairs = await pairs_to_ask(
            store.knob, store.labels, name, around=around, count=count, seed=seed
        )
        if pairs is None:
            nothing_to_replay(name)
        if as_json:
            print_json({"project": name, "distance": around, "pairs": pairs})
            return
        if not pairs:
            refuse(
                f"There is no pair of {name} left to ask about.",
                "Every two texts that are near the dedup distance have an answer, or there are too "
                "few failures. `evalratchet dedup calibrate` uses the answers.",
            )
        session = _Session(store, name, by, around)
        await session.ask(pairs)
        _print_summary(await _summary(store, name, session.counts))


class _Session:
    """Asks about pairs, one after the other. Each answer is in the store before the next question."""

    def __init__(self, store: Store, project: str, by: str, around: float) -> None:
        self.counts: Counter[str] = Counter()
        self._store = store
        self._project = project
        self._by = by
        self._around = around
        self._done: list[tuple[PairLabel, PairLabel | None] | None] = []

    async def ask(self, pairs: Sequence[Pair]) -> None:
        """Ask until the pairs are over, or whoever answers has enough."""
        while len(self._done) < len(pairs):
            place = len(self._done)
            self._show(pairs[place], place + 1, len(pairs))
            choice: Choice = chosen(_KEYS, _PROMPT, at_end="stop")
            if choice == "stop":
                return
            if choice == "undo":
                await self._undo()
                continue
            kept = None if choice == "skip" else await self._keep(pairs[place], choice)
            self._done.append(kept)
            self.counts[choice] += 1
            print()

    def _show(self, pair: Pair, number: int, count: int) -> None:
        now = "one pattern" if pair.together else "two patterns"
        print(
            f"{number} of {count}: the same failure? Now {now}; one from distance {pair.distance:g} "
            f"on (in force: {self._around:.3g}).\n"
        )
        print_side_by_side(
            (f"pattern {pair.first_pattern}", pair.first_text),
            (f"pattern {pair.second_pattern}", pair.second_text),
        )
        print()

    async def _keep(self, pair: Pair, verdict: Verdict) -> tuple[PairLabel, PairLabel | None]:
        label = _label_of(self._project, pair.first, pair.second, verdict, self._by)
        return label, await self._store.labels.keep(label)

    async def _undo(self) -> None:
        if not self._done:
            note("There is nothing to undo: this is the first pair.")
            return
        last = self._done.pop()
        if last is None:
            self.counts["skip"] -= 1
            return
        self.counts[last[0].verdict] -= 1
        if not await self._store.labels.take_back(*last):
            note("Somebody else has answered about this pair since; their answer stays.")


def _label_of(project: str, first: str, second: str, verdict: Verdict, by: str) -> PairLabel:
    first, second = in_order(first, second)
    return PairLabel(
        project=project,
        first=first,
        second=second,
        verdict=verdict,
        source="label",
        by=by,
        at=datetime.now(UTC),
    )


async def _summary(store: Store, project: str, counts: Counter[str]) -> Summary:
    drawn = [one for one in await store.labels.every(project) if one.source in DRAWN]
    in_all = Counter(one.verdict for one in drawn)
    return Summary(
        project=project,
        same=counts["same"],
        different=counts["different"],
        skipped=counts["skip"],
        same_in_all=in_all["same"],
        different_in_all=in_all["different"],
    )


def _print_summary(one: Summary) -> None:
    skipped = f", {one.skipped} skipped" if one.skipped else ""
    print(
        f"Kept: {one.same} same, {one.different} different{skipped}. {one.project} has "
        f"{one.same_in_all} same and {one.different_in_all} different in all."
    )
    missing = max(0, NEEDED - one.same_in_all), max(0, NEEDED - one.different_in_all)
    if any(missing):
        print(
            f"To calibrate it needs {NEEDED} of each: {missing[0]} same and {missing[1]} different "
            "are missing."
        )
    else:
        print(f"`evalratchet dedup calibrate --project {one.project}` fits the distance.")


def _read(file: str) -> list[Given]:
    """The answers of a file of JSON lines; - is standard input. Raises `Problem`."""
    try:
        text = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        misused(f"{file} cannot be read.", str(error.strerror))
    given = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            given.append(msgspec.json.decode(line, type=Given))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            misused(
                f"{file}, line {number}: this is no answer. Nothing was kept.",
                f'{error}. For example: {{"first": "4f28...", "second": "91c0...", "verdict": '
                '"same"}, with the fingerprints that `dedup label --json` prints.',
            )
    return given


async def _take(project: str | None, given: Sequence[Given], by: str) -> Summary:
    async with opened_store(effective_settings()) as store:
        name = await one_project(store, project)
        async with store.patterns.reading(name) as reader:
            serving = await reader.serving()
        if serving is None:
            nothing_to_replay(name)
        named = sorted({one for answer in given for one in (answer.first, answer.second)})
        texts = await store.knob.texts(name, serving.space, named)
        unknown = [one for one in named if one not in texts]
        if unknown:
            misused(
                f"{name} has no failure text with the fingerprint {unknown[0][:64]!r}. Nothing was kept.",
                f"{len(unknown)} of {len(named)} are not known. `dedup label --json` prints pairs.",
            )
        for answer in given:
            if answer.first == answer.second:
                misused(f"{answer.first} is named with itself. Nothing was kept.")
        for answer in given:
            if answer.verdict != "skip":
                await store.labels.keep(
                    _label_of(name, answer.first, answer.second, answer.verdict, by)
                )
        return await _summary(store, name, Counter(answer.verdict for answer in given))
