"""The trace: one request an application served, in the native wire format.

Missing values are null; unknown fields are ignored, so that a newer client never breaks an
older server. Limits are on what identifies and routes a trace, not on what it says.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

ProjectName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")]
"""Names a project: 1 to 64 of letters, digits, dot, underscore and hyphen, the first a letter or digit."""

TraceId = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
SignalName = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
NonNegative = Annotated[float, msgspec.Meta(ge=0)]
Count = Annotated[int, msgspec.Meta(ge=0)]

LARGEST_COUNT = (1 << 63) - 1
"""Of tokens: what a database's integer holds."""

StepType = Literal["user", "assistant", "tool_call", "tool_result", "retrieval", "reasoning"]

Content = str | dict[str, Any] | list[Any] | None
"""Text, or whatever JSON the application's own format has there."""


class Step(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that happened while the request was served, in order."""

    type: StepType
    name: str | None = None
    call_id: str | None = None
    content: Content = None
    arguments: Content = None
    error: bool | str | None = None
    started_at: datetime | None = None
    latency_ms: NonNegative | None = None


class Signal(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One statement about how a trace went, as somebody made it.

    `value` is a number, a truth value or a label; `source` says who speaks (`user`, `outcome`,
    `annotator`, ...).
    """

    name: SignalName
    value: bool | float | str | None = None
    source: str = "app"
    comment: str | None = None


class Trace(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One request the application served. Times are the client's and are never trusted for order."""

    trace_id: TraceId
    project: ProjectName
    environment: str | None = None
    release: str | None = None
    model: str | None = None
    started_at: datetime | None = None
    latency_ms: NonNegative | None = None
    cost_usd: NonNegative | None = None
    tokens_in: Count | None = None
    tokens_out: Count | None = None
    session_id: str | None = None
    user_id: str | None = None
    input: Content = None
    output: Content = None
    steps: tuple[Step, ...] = ()
    signals: tuple[Signal, ...] = ()
    metadata: dict[str, Any] = {}


def content_text(content: Content) -> str:
    """Content as one text: itself when it is text, else its JSON with sorted keys, else empty."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    return msgspec.json.encode(content, order="deterministic").decode()
