"""`status`: what came in, what became of it, what each stage still has to do."""

import time
from datetime import UTC, datetime

import msgspec

from services.cli.coverage import print_coverage
from services.cli.known import check_project
from services.cli.opened import effective_settings, opened_store, opened_stream, run
from services.cli.output import print_fields, print_json, print_table, when
from services.cli.problem import ExitCode, Problem
from services.cli.typed import own_name
from services.cli.waiting import wait_until_quiet, what_to_look_at
from services.coverage import ProjectCoverage, coverages
from services.reading import ReplayStore, Totals
from services.settings import Settings
from services.store.open import Store
from services.stream.port import Stream
from services.stream.topics import STAGES, Stage, Topics


class StageStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A stage's input. `lag` counts events it has not finished, `oldest_waiting_at` is in UTC."""

    stage: Stage
    topic: str
    lag: int
    oldest_waiting_at: datetime | None
    dead_letters: int


class HeldStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What a stage has set aside for a project that cannot go on. `since` is in UTC."""

    stage: Stage
    project: str
    records: int
    since: datetime
    why: str


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Everything `status` shows. `events_in` counts pieces of traces, those in the topic included."""

    events_in: int
    traces: int
    traces_waiting: int
    traces_incomplete: int
    failures: int
    patterns: int
    occurrences: int
    cases: int
    cases_by_set: dict[str, int]
    failures_by_fault: dict[str, int]
    dead_letters: int
    archive_bytes: int
    coverage: list[ProjectCoverage]
    stages: list[StageStatus]
    held: list[HeldStatus]


def show_status(*, project: str | None, wait: bool, timeout: float, as_json: bool) -> None:
    """Print the status, after everything has come to rest when asked to wait for that."""
    settings = effective_settings()
    status, waiting = run(_status(settings, project, wait_seconds=timeout if wait else None))
    if as_json:
        print_json(status)
    else:
        _print(status)
        if not status.events_in and not settings.embedded_stream:
            print(
                "\nNothing came in yet. If there are no topics yet: run "
                f"`{own_name()} topics apply`."
            )
    if waiting:
        raise still_waiting(waiting, timeout, embedded=settings.embedded_stream)


def still_waiting(waiting: list[str], timeout: float, *, embedded: bool) -> Problem:
    """What to say when the time is over."""
    return Problem(
        f"After {timeout:g} s not everything has reached the store.",
        "\n".join([*waiting, what_to_look_at(embedded=embedded)]),
        code=ExitCode.NO,
    )


async def read_status(
    store: Store, stream: Stream, topics: Topics, project: str | None = None
) -> Status:
    """The status now. Raises `Unavailable`."""
    stages = [await _stage(store.replays, stream, topics, stage) for stage in STAGES]
    totals = await store.reader.totals(project)
    size = await store.traces.size()
    known = await coverages(store.knob, project)
    held = [one for stage in STAGES for one in await _held(store, topics, stage)]
    status = _put_together(totals, stages, size.bytes, known, alone=project is None)
    return msgspec.structs.replace(status, held=held)


async def _status(
    settings: Settings, project: str | None, *, wait_seconds: float | None
) -> tuple[Status, list[str]]:
    topics = Topics(settings.topic_prefix)
    waiting: list[str] = []
    async with opened_store(settings) as store, opened_stream(settings) as stream:
        await check_project(store, project)
        if wait_seconds is not None:
            waiting = await wait_until_quiet(
                store,
                stream,
                topics,
                timeout_seconds=wait_seconds,
                embedded=settings.embedded_stream,
            )
        return await read_status(store, stream, topics, project), waiting


def _put_together(
    totals: Totals,
    stages: list[StageStatus],
    archive_bytes: int,
    known: list[ProjectCoverage],
    *,
    alone: bool,
) -> Status:
    unread = next(stage.lag for stage in stages if stage.stage == "scorer") if alone else 0
    return Status(
        events_in=totals.pieces + unread,
        traces=totals.traces,
        traces_waiting=totals.traces_waiting,
        traces_incomplete=totals.traces_incomplete,
        archive_bytes=archive_bytes,
        failures=totals.failures,
        patterns=totals.patterns,
        occurrences=totals.occurrences,
        cases=totals.cases,
        cases_by_set=totals.cases_by_set,
        failures_by_fault=totals.failures_by_fault,
        dead_letters=sum(stage.dead_letters for stage in stages),
        coverage=known,
        stages=stages,
        held=[],
    )


async def _stage(replays: ReplayStore, stream: Stream, topics: Topics, stage: Stage) -> StageStatus:
    topic = topics.input(stage)
    lag = await stream.lag(topic, topics.group(stage))
    oldest = None
    if lag.oldest_ms is not None:
        oldest = datetime.fromtimestamp(lag.oldest_ms / 1000, tz=UTC)
    return StageStatus(
        stage=stage,
        topic=topic,
        lag=lag.waiting,
        oldest_waiting_at=oldest,
        dead_letters=await _dead_letters(replays, stream, topics, stage),
    )


async def _held(store: Store, topics: Topics, stage: Stage) -> list[HeldStatus]:
    found = await store.held.projects(topics.group(stage))
    return [
        HeldStatus(
            stage=stage,
            project=project,
            records=one.records,
            since=datetime.fromtimestamp(one.since_ms / 1000, tz=UTC),
            why=one.why,
        )
        for project, one in found.items()
    ]


async def _dead_letters(replays: ReplayStore, stream: Stream, topics: Topics, stage: Stage) -> int:
    """How many dead letters are there that nobody replayed."""
    topic = topics.dead_letters(stage)
    kept = (await stream.lag(topic, topics.group(stage))).waiting  # no group reads dead letters
    replayed = await replays.replayed(topic) if kept else frozenset()
    if not replayed:
        return kept
    newest = await stream.browse(topic, limit=1)
    # The topic has one partition: what retention deleted has a lower offset than all that is kept.
    first = newest[-1].offset - kept + 1 if newest else 0
    return kept - sum(offset >= first for _, offset in replayed)


def _print(status: Status) -> None:
    sets = ", ".join(f"{count} {name}" for name, count in status.cases_by_set.items() if count)
    faults = ", ".join(f"{n} {fault}" for fault, n in status.failures_by_fault.items() if n)
    notes = [
        f"{status.traces_waiting} not scored yet" if status.traces_waiting else "",
        f"{status.traces_incomplete} whose root has not ended" if status.traces_incomplete else "",
    ]
    noted = ", ".join(filter(None, notes))
    waiting = f" ({noted})" if noted else ""
    print_fields(
        [
            ("events in", str(status.events_in)),
            ("traces", f"{status.traces}{waiting}"),
            ("failures", f"{status.failures} ({faults})" if faults else str(status.failures)),
            ("patterns", str(status.patterns)),
            ("cases", f"{status.cases} ({sets})" if sets else str(status.cases)),
            ("archive", f"{status.archive_bytes / 1e6:.1f} MB, of all projects"),
        ]
    )
    print()
    rows = [
        [
            stage.stage,
            stage.topic,
            str(stage.lag),
            _age(stage.oldest_waiting_at),
            str(stage.dead_letters),
        ]
        for stage in status.stages
    ]
    columns = ["stage", "reads", "lag", "oldest waiting", "dead letters"]
    print_table(columns, rows, flexible="reads")
    for one in status.held:
        print(
            f"\n{one.records} of {one.project} wait in {one.stage} since {when(one.since)}, "
            f"beside the topic: {one.why}"
        )
    print_coverage(status.coverage)
    if status.dead_letters:
        print("\nSee `evalratchet dlq list` for the dead letters and why they are there.")


def _age(moment: datetime | None) -> str:
    if moment is None:
        return "-"
    seconds = max(0.0, time.time() - moment.timestamp())
    return f"{seconds:.0f} s" if seconds < 3600 else when(moment)  # noqa: PLR2004 - an hour
