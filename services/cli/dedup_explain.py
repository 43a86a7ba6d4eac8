"""`dedup explain`: why a failure belongs to its pattern, step by step."""

from collections.abc import Sequence

import msgspec
import numpy as np

from capture.events import Failure
from dedup.assign import candidate
from dedup.events import Assignment
from dedup.fingerprint import normalised
from dedup.geometry import first_geometry
from dedup.policy import TextPolicy
from dedup.text import ShownPart, failure_text, text_version
from services.archived_failures import ArchivedFailures
from services.cli.known import check_project
from services.cli.opened import effective_settings, opened_store, run
from services.cli.output import full, one_line, print_fields, print_json, print_table
from services.cli.problem import misused, note, refuse
from services.cli.traces import find_trace
from services.coverage import effective_distance
from services.pattern_store import PatternReader
from services.policy import Policies
from services.settings import Settings
from services.store.open import Store
from services.wiring import examiner_of

_NEAREST = 5
_PAGE = 10_000  # centroids at a time: 15 MB of 384 dimensions


class Near(msgspec.Struct, frozen=True, kw_only=True):
    """A pattern near the failure. `joins`: whether it may be joined at the distance in force.

    `name`: that a reviewer gave it.
    """

    pattern_id: str
    distance: float
    guard: str
    same_guard: bool
    joins: bool
    name: str | None = None


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """What `dedup explain` shows.

    `decision` is null while none is stored; `nearest` is null where the text has no stored vector, and
    `why_no_nearest` says why. `fingerprint` is that of the text as it is written now.
    """

    project: str
    trace_id: str
    event_id: str
    text_version: str
    text_policy: TextPolicy
    parts: Sequence[ShownPart]
    text: str
    masked: str
    guard: str
    fingerprint: str
    decision: Assignment | None
    space: str | None
    geometry: int | None
    distance: float
    grey_band: float
    nearest: Sequence[Near] | None
    why_no_nearest: str | None


def explain(trace_id: str, *, project: str | None, as_json: bool) -> None:
    """Print the text that is compared, its fingerprint, the decision, and what is near."""
    if not trace_id.strip():
        misused("Say which trace: its id, or the id of a span in it.")
    shown = run(_explained(trace_id, project))
    if as_json:
        print_json(_document(shown))
    else:
        _print(shown)


async def _explained(trace_id: str, project: str | None) -> Explained:
    settings = effective_settings()
    async with opened_store(settings) as store:
        await check_project(store, project)
        row = await find_trace(store, trace_id, project)
        failure = await _failure(settings, store, row.project, row.trace_id)
        async with store.patterns.reading(row.project) as reader:
            return await _read(store, reader, failure)


async def _failure(settings: Settings, store: Store, project: str, trace_id: str) -> Failure:
    """The failure as dedup gets it. Raises `Problem` where the trace is none."""
    examiner = examiner_of(settings, store)
    try:
        archived = ArchivedFailures(store.traces, Policies(store.policies), examiner)
        failure = await archived.of(project, trace_id)
    finally:
        await examiner.close()
    if failure is None:
        refuse(
            f"The trace {one_line(trace_id, 128)!r} of {project} is no failure by the policy in force.",
            f"See `evalratchet traces show {one_line(trace_id, 128)}` for what was found of it.",
        )
    return failure


async def _read(store: Store, reader: PatternReader, failure: Failure) -> Explained:
    policy = (await Policies(store.policies).of(failure.project)).dedup
    serving = await reader.serving()
    written = policy.text if serving is None else serving.text
    one = candidate(failure, written)
    decision = (await reader.decisions([one.event_id])).get(one.event_id)
    space = None if serving is None else serving.space
    distance = await effective_distance(store.knob, failure.project, policy)
    nearest, geometry, why = None, None, "nothing of this project was embedded yet"
    if space is not None:
        asked = dict.fromkeys([one.fingerprint, *([decision.fingerprint] if decision else [])])
        vectors = await reader.embedded(space, list(asked))
        vector = next((vectors[key] for key in asked if key in vectors), None)
        why = "this text was not embedded: its fingerprint was known, or it was not decided yet"
        if vector is not None:
            own = None if decision is None else decision.pattern_id
            nearest, geometry = await _nearest(
                reader, space, vector, one.guard, distance=distance, own=own
            )
            names = await store.knob.called(failure.project, [near.pattern_id for near in nearest])
            nearest = [
                msgspec.structs.replace(near, name=names.get(near.pattern_id)) for near in nearest
            ]
    text = failure_text(failure, written)
    return Explained(
        project=failure.project,
        trace_id=failure.trace_id,
        event_id=one.event_id,
        text_version=text_version(written),
        text_policy=written,
        parts=text.parts,
        text=text.whole,
        masked=normalised(text.whole),
        guard=one.guard,
        fingerprint=one.fingerprint,
        decision=decision,
        space=space,
        geometry=geometry,
        distance=distance,
        grey_band=policy.grey_band,
        nearest=nearest,
        why_no_nearest=why if nearest is None else None,
    )


async def _nearest(
    reader: PatternReader,
    space: str,
    vector: np.ndarray,
    guard: str,
    *,
    distance: float,
    own: str | None,
) -> tuple[Sequence[Near], int]:
    """The patterns nearest to a raw vector (d,), of every guard, and the geometry's number.

    The pattern `own` is among them, however far it is today: centre and centroids move on.
    """
    geometry = await reader.geometry(space) or first_geometry(len(vector))
    place = geometry.placed(vector.reshape(1, -1).astype(np.float32))[0]
    found: list[Near] = []
    seq = 0
    while page := await reader.centroids_after(space, seq, limit=_PAGE):
        seq = page[-1].seq
        here = [one for one in page if one.count > 0]
        if not here:
            continue
        totals = np.stack([np.frombuffer(one.total, "<f4") for one in here])
        means = totals / np.asarray([one.count for one in here], dtype=np.float32)[:, None]
        away = geometry.distances(geometry.placed(means) @ place)
        found += [
            Near(
                pattern_id=here[at].pattern_id,
                distance=round(float(away[at]), 6),
                guard=here[at].guard,
                same_guard=here[at].guard == guard,
                joins=here[at].guard == guard and float(away[at]) <= distance,
            )
            for rank, at in enumerate(np.argsort(away, kind="stable"))
            if rank < _NEAREST or here[at].pattern_id == own
        ]
        found.sort(key=lambda one: one.distance)
        found = [one for rank, one in enumerate(found) if rank < _NEAREST or one.pattern_id == own]
    return found, geometry.number


def _document(shown: Explained) -> dict[str, object]:
    parts = [full(part) for part in shown.parts]
    decision = None if shown.decision is None else full(shown.decision)
    return full(shown) | {"parts": parts, "decision": decision}


def _print(shown: Explained) -> None:
    print_fields([("trace", shown.trace_id), ("project", shown.project)])
    print()
    cells = [[part.part, _limits(part), one_line(part.text, 1000)] for part in shown.parts]
    print_table(["part", "characters", "text"], cells, flexible="text")
    print()
    print_fields(
        [
            ("masked", shown.masked or "nothing: all failures without any text are one pattern"),
            ("guard", shown.guard),
            ("fingerprint", shown.fingerprint),
            ("text version", shown.text_version),
            ("space", shown.space or "none yet"),
            ("decided", _decided(shown)),
            ("distance in force", f"{shown.distance:g}, grey from {_grey_from(shown):g} on"),
        ]
    )
    print()
    if shown.nearest is None:
        note(f"What is near cannot be told: {shown.why_no_nearest}.")
        return
    own = None if shown.decision is None else shown.decision.pattern_id
    rows = [
        [one.pattern_id, f"{one.distance:.4f}", one.guard, _why(one, own), one_line(one.name or "")]
        for one in shown.nearest
    ]
    columns = ["pattern", "distance", "guard", "could be joined", "name"]
    if not any(one.name for one in shown.nearest):
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    print_table(columns, rows, flexible="guard")


def _limits(part: ShownPart) -> str:
    """How much is shown, and what the limit left out."""
    said = f"{len(part.text)} of at most {part.chars}"
    if part.cut:
        said += f", {part.cut} left out"
    if part.turns_left_out:
        said += f" ({part.turns_left_out} whole turns)"
    return said


def _decided(shown: Explained) -> str:
    made = shown.decision
    if made is None:
        return "not yet: see `evalratchet status`"
    if made.decided_by == "first":
        nearest = made.nearest_distance
        before = "there was none before" if nearest is None else f"the nearest was at {nearest:.4f}"
        said = f"a new pattern, {made.pattern_id}: {before}"
    else:
        said = f"pattern {made.pattern_id} by {made.decided_by}, at {made.distance:.4f}"
    if made.grey:
        said += "; grey: within the band below the distance, to be decided by a reviewer"
    if made.fingerprint != shown.fingerprint:
        said += f"\nof another text: its fingerprint was {made.fingerprint}"
    if made.embedding_space != shown.space:
        said += f"\nin another space: {made.embedding_space}"
    return said


def _why(one: Near, own: str | None) -> str:
    if one.pattern_id == own:
        return "yes: it is in it" if one.joins else "it is in it, by an earlier decision"
    if not one.same_guard:
        return "no: another guard"
    return "yes" if one.joins else "no: too far"


def _grey_from(shown: Explained) -> float:
    return max(0.0, shown.distance - shown.grey_band)
