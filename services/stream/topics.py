"""Topics, and who reads what from where. The only place their names are written."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from services.stream.port import TopicSettings

Stage = Literal["scorer", "deduper", "grader", "promoter"]
STAGES: tuple[Stage, ...] = ("scorer", "deduper", "grader", "promoter")

_INPUT: dict[Stage, str] = {
    "scorer": "traces",
    "deduper": "failures",
    "grader": "patterns",
    "promoter": "graded",
}
_OUTPUT: dict[Stage, str] = {
    "scorer": "failures",
    "deduper": "patterns",
    "grader": "graded",
    "promoter": "cases",
}

_DLQ_RETENTION_MS = 30 * 86_400_000  # at least: they wait for a person, who may be on holiday
_DLQ_PARTITIONS = 1  # dead letters are read by people, newest last; nothing scales with them
_RECORD_OVERHEAD_BYTES = 64 * 1024  # headers, a grade, an assignment: what stages add to a trace
_JSON_GROWTH = 2  # a case holds its trace's text twice at most: in the steps and as input or output


class Topics(msgspec.Struct, frozen=True):
    """Topic and group names under a prefix, so that several installations can share a cluster."""

    prefix: str = ""

    def traces(self) -> str:
        """Where capture writes."""
        return self.prefix + "traces"

    def input(self, stage: Stage) -> str:
        """The topic a stage reads."""
        return self.prefix + _INPUT[stage]

    def output(self, stage: Stage) -> str:
        """The topic a stage writes."""
        return self.prefix + _OUTPUT[stage]

    def dead_letters(self, stage: Stage) -> str:
        """Where a stage parks what it cannot handle."""
        return self.input(stage) + ".dlq"

    def group(self, stage: Stage) -> str:
        """The consumer group of a stage."""
        return f"{self.prefix}evalratchet.{stage}"

    def max_message_bytes(self, max_trace_bytes: int) -> int:
        """What every topic takes, so that whatever follows from a trace fits."""
        return _JSON_GROWTH * max_trace_bytes + _RECORD_OVERHEAD_BYTES

    def all(
        self, *, partitions: int, retention_ms: int, max_trace_bytes: int
    ) -> Sequence[TopicSettings]:
        """Every topic with its settings, in stream order."""
        names = [self.traces(), *(self.output(stage) for stage in STAGES)]
        max_message_bytes = self.max_message_bytes(max_trace_bytes)
        live = [TopicSettings(name, partitions, retention_ms, max_message_bytes) for name in names]
        dead = [
            TopicSettings(
                self.dead_letters(stage),
                _DLQ_PARTITIONS,
                max(retention_ms, _DLQ_RETENTION_MS),
                max_message_bytes,
            )
            for stage in STAGES
        ]
        return [*live, *dead]
