"""Failures as the archive still has them: a trace's pieces, put together and scored again."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol

from capture.assemble import assemble
from capture.events import Failure
from capture.ids import failure_event_id
from capture.redaction.placeholder import numbered
from capture.scorers import failure_fault, severity_of
from services.archive import ArchivedPiece
from services.policy import Policies
from services.scorer import Examiner
from services.stream import envelope

_UNKNOWN = datetime(1970, 1, 1, tzinfo=UTC)  # when it failed is not archived, and nobody asks here


class ArchivedTraces(Protocol):
    """The archive, by trace."""

    async def pieces_of(self, project: str, trace_id: str) -> Sequence[ArchivedPiece]:
        """All pieces of a trace in order of arrival; none when it is not here."""


class ArchivedFailures:
    """`services.reembedding.ArchivedFailures`, scored with the policy in force."""

    def __init__(self, traces: ArchivedTraces, policies: Policies, examiner: Examiner) -> None:
        """Read from the archive; a judge's answers are remembered and not asked for again."""
        self._traces = traces
        self._policies = policies
        self._examiner = examiner

    async def of(self, project: str, trace_id: str) -> Failure | None:
        """The failure of this trace; None where it is not archived, or does not fail any more.

        Raises `Unavailable`.
        """
        pieces = await self._traces.pieces_of(project, trace_id)
        trace = assemble([envelope.decode_body(one.schema, one.body) for one in pieces])
        if trace is None:
            return None
        trace = numbered(trace)
        policy = (await self._policies.of(project)).scoring
        signals = (await self._examiner.examine(trace, policy)).signals
        if not signals:
            return None
        return Failure(
            event_id=failure_event_id(project, trace_id),
            trace=trace,
            signals=signals,
            severity=severity_of(signals),
            failed_at=_UNKNOWN,
            fault=failure_fault(signals),
        )
