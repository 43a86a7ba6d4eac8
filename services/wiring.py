"""Which loops a service runs, made of its parts. Tests call the same functions."""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Literal

import msgspec

from services.coverage import AdaptivePolicies
from services.deduper import Deduper
from services.embedder import embedder_of
from services.encoders import Encoders
from services.examiner import ScorerExaminer
from services.grader import Grader
from services.grey_judge import GreyJudge
from services.index_files import IndexFiles
from services.indexes import Indexes
from services.intake import Intake, received
from services.judge.client import ModelClient
from services.judge.judge import Judge
from services.mode_names import ModelNames
from services.modes import Modes
from services.names import WorkerNames
from services.own_scorers import OwnScorers
from services.policy import Policies
from services.promoter import Promoter
from services.redaction import Redaction
from services.representatives import Representatives
from services.scorer import Scoring
from services.settings import Settings
from services.settling import Settling
from services.store.open import Store
from services.stream import envelope
from services.stream.holding import Holding
from services.stream.limit import DeadLetterLimit
from services.stream.loop import Handler, Loop
from services.stream.loop_settings import LoopSettings
from services.stream.outcome import Event
from services.stream.port import Record, Source, Stream
from services.stream.topics import Stage, Topics
from services.telemetry import Metrics

ServiceName = Literal["capture", "dedup", "grade", "promote"]
SERVICES: tuple[ServiceName, ...] = ("capture", "dedup", "grade", "promote")

_DEDUP_BATCH = 128  # a locked step for each of its projects; all new, a second of the model
_HOLDS: Stage = "deduper"  # whose projects may have an encoder of their own, which may be away
_WAIT_SECONDS = 0.5
_GATHER_SECONDS = 0.05  # 200 single posts a second are 20 archive transactions then, not 200
_GATHER_MOST_SECONDS = 0.25  # a turn is four commits, 4 ms: under load 4 a second, not 20


class Parts(msgspec.Struct, frozen=True):
    """What loops are made of."""

    settings: Settings
    stream: Stream
    store: Store
    metrics: Metrics
    encoders: Encoders
    indexes: Indexes
    examiner: ScorerExaminer = ScorerExaminer()
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def clock_ms(self) -> int:
        """The server's time, in milliseconds since the epoch."""
        return time.time_ns() // 1_000_000


def loops_of(service: ServiceName, parts: Parts) -> Sequence[Loop]:
    """The loops of one service, in stream order."""
    policies = Policies(parts.store.policies)
    if service == "capture":
        return _capture_loops(parts, policies)
    if service == "dedup":
        handler: Handler = Deduper(
            parts.store.patterns,
            parts.encoders,
            parts.indexes,
            AdaptivePolicies(parts.store.policies, parts.store.knob),
            clock=parts.clock,
            metrics=parts.metrics.dedup,
        )
        return [_loop(parts, "deduper", handler, batch=_DEDUP_BATCH)]
    if service == "grade":
        return [_loop(parts, "grader", Grader(parts.store.grades))]
    return [_loop(parts, "promoter", Promoter(parts.store.cases, policies, clock=parts.clock))]


def encoders_of(settings: Settings) -> Encoders:
    """The configured encoder, and a way to those that projects are served by. Nothing is started."""
    return Encoders(embedder_of(settings), lambda identity: embedder_of(settings, identity))


def indexes_of(settings: Settings) -> Indexes:
    """The indexes, saved in the home folder, from where they may be deleted at any moment."""
    return Indexes(IndexFiles(settings.home / "indexes"))


def model_client_of(settings: Settings) -> ModelClient | None:
    """The client of the configured model, where one is configured."""
    if settings.judge_url is None or settings.judge_model is None:
        return None
    key = settings.judge_api_key
    return ModelClient(
        settings.judge_url,
        model=settings.judge_model,
        api_key=None if key is None else key.get_secret_value(),
        timeout_seconds=settings.judge_timeout_seconds,
        concurrency=settings.judge_concurrency,
    )


def grey_judge_of(parts: Parts) -> GreyJudge | None:
    """Who decides about doubtful decisions where a policy asks for it; None without a model."""
    client, store = model_client_of(parts.settings), parts.store
    if client is None:
        return None
    return GreyJudge(
        client,
        policies=Policies(store.policies),
        projects=store.reader,
        decisions=store.grey,
        changes=store.changes,
        judgements=store.judgements,
        clock=parts.clock,
        per_hour=parts.settings.grey_judge_per_hour,
        memory_days=parts.settings.retention_days,
    )


def representatives_of(parts: Parts) -> Representatives:
    """Who has patterns be represented as policies say."""
    store = parts.store
    return Representatives(store.medoids, store.policies, store.patterns, store.reader)


def mode_names_of(settings: Settings) -> ModelNames | None:
    """Who finds names for modes, where a model is configured."""
    client = model_client_of(settings)
    return None if client is None else ModelNames(client)


@asynccontextmanager
async def modes_of(
    settings: Settings, store: Store, clock: Callable[[], datetime]
) -> AsyncIterator[Modes]:
    """What refits modes; its process is stopped on leaving."""
    names = mode_names_of(settings)
    policies = Policies(store.policies)
    modes = Modes(store.modes, store.patterns, store.changes, policies, clock=clock, names=names)
    try:
        yield modes
    finally:
        await modes.close()
        if names is not None:
            await names.close()


def examiner_of(settings: Settings, store: Store, metrics: Metrics | None = None) -> ScorerExaminer:
    """What asks scorers: those that only think, the worker for Python, and the judge."""
    client = model_client_of(settings)
    judge = Judge(client, store.judgements, clock_ms=lambda: time.time_ns() // 1_000_000)
    if metrics is None:
        return ScorerExaminer(OwnScorers(), judge)
    return ScorerExaminer(OwnScorers(), judge, on_problem=metrics.count_scorer_error)


def redaction_of(settings: Settings, store: Store, metrics: Metrics | None = None) -> Redaction:
    """What takes personal data out of all that capture is sent."""
    key, model = settings.redaction_key, settings.redaction_ner
    return Redaction(
        Policies(store.policies),
        store.secrets,
        key=None if key is None else key.get_secret_value().encode(),
        names=None if model is None else WorkerNames(model),
        on_redacted=_uncounted if metrics is None else metrics.count_redactions,
    )


def _uncounted(_kind: str, _count: int) -> None:
    """A command counts for nobody."""


def _capture_loops(parts: Parts, policies: Policies) -> Sequence[Loop]:
    settings, archive = parts.settings, parts.store.archive
    times = {
        "settle_seconds": settings.settle_seconds,
        "settle_max_seconds": settings.settle_max_seconds,
    }
    intake = Intake(archive, clock_ms=parts.clock_ms, **times)
    topic = Topics(settings.topic_prefix).traces()
    settling = Settling(archive, topic, clock_ms=parts.clock_ms, **times)
    scoring = Scoring(
        policies,
        parts.examiner,
        clock=parts.clock,
        on_verdict=settling.found,
        on_failure=parts.metrics.count_failure,
    )
    return [
        _loop(parts, "scorer", intake, decode=received, gather_seconds=_GATHER_SECONDS),
        _loop(parts, "scorer", scoring, source=settling, gather_seconds=_GATHER_SECONDS),
    ]


def _loop(
    parts: Parts,
    stage: Stage,
    handler: Handler,
    *,
    source: Source | None = None,
    decode: Callable[[Record], Event] = envelope.decode,
    batch: int = 200,
    gather_seconds: float = 0.0,
) -> Loop:
    topics = Topics(parts.settings.topic_prefix)
    name = stage if source is None else f"{stage}.settling"
    settings = LoopSettings(
        stage=name,
        consumer=topics.group(stage) if source is None else f"{topics.group(stage)}.settling",
        output_topic=topics.output(stage),
        dead_letter_topic=topics.dead_letters(stage),
        max_message_bytes=topics.max_message_bytes(parts.settings.max_trace_bytes),
        batch=batch,
        wait_seconds=_WAIT_SECONDS,
        gather_seconds=gather_seconds,
        gather_most_seconds=_GATHER_MOST_SECONDS if gather_seconds else 0.0,
        limit=DeadLetterLimit(floor=parts.settings.dead_letter_floor),
    )
    metrics = parts.metrics.stage(name)
    holding = Holding(
        parts.store.held,
        settings.consumer,
        limit=settings.held_most,
        clock_ms=parts.clock_ms,
        show=metrics.show_held,
    )
    return Loop(
        settings,
        source=source or parts.stream.source(topics.input(stage), topics.group(stage)),
        publisher=parts.stream,
        handler=handler,
        attempts=parts.store.attempts,
        metrics=metrics,
        decode=decode,
        holding=holding if stage == _HOLDS else None,
    )
