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

Time = Annotated[
    datetime | None,
    msgspec.Meta(
        description="RFC 3339; without a zone it is taken as UTC. Shown, never trusted for order.",
        extra_json_schema={"format": "date-time"},
    ),
]

StepType = Literal["user", "assistant", "tool_call", "tool_result", "retrieval", "reasoning"]

Content = str | dict[str, Any] | list[Any] | None
"""Text, or whatever JSON the application's own format has there."""


class Step(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that happened while the request was served, in order."""

    type: StepType
    name: Annotated[str | None, msgspec.Meta(description="Of the tool, model or retriever.")] = None
    call_id: Annotated[
        str | None, msgspec.Meta(description="Ties a tool_result to its tool_call.")
    ] = None
    content: Annotated[
        Content, msgspec.Meta(description="What was said, returned or found: text or JSON.")
    ] = None
    arguments: Annotated[
        Content, msgspec.Meta(description="What a tool was called with: text or JSON.")
    ] = None
    error: Annotated[
        bool | str | None,
        msgspec.Meta(description="True or the message when the step failed; else left out."),
    ] = None
    started_at: Time = None
    latency_ms: Annotated[
        NonNegative | None, msgspec.Meta(description="How long the step took, in milliseconds.")
    ] = None


class Signal(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One statement about how a trace went, as somebody made it.

    `value` is a number, a truth value or a label; `source` says who speaks (`user`, `outcome`,
    `annotator`, ...).
    """

    name: SignalName
    value: bool | float | str | None = None
    source: str = "app"
    comment: str | None = None
    label: Annotated[
        str | None, msgspec.Meta(description="In words, beside a `value` that is a number.")
    ] = None
    correction: Annotated[
        Content, msgspec.Meta(description="What the answer should have been, for the reviewer.")
    ] = None
    id: Annotated[
        str | None,
        msgspec.Meta(description="What is said later under the same id replaces this."),
    ] = None
    at: Annotated[
        Time,
        msgspec.Meta(
            description="When it was said. Tells apart what the same person says twice: without "
            "it, saying exactly the same again is the same event."
        ),
    ] = None
    metadata: Annotated[
        dict[str, Any], msgspec.Meta(description="Anything else that was said with it.")
    ] = {}


class Trace(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One request the application served. Times are the client's and are never trusted for order."""

    trace_id: Annotated[
        TraceId,
        msgspec.Meta(description="Your id of the request; what has the same id is one trace."),
    ]
    project: Annotated[
        ProjectName,
        msgspec.Meta(description="Which application: letters, digits, dot, underscore, hyphen."),
    ]
    environment: Annotated[
        str | None,
        msgspec.Meta(
            description="Where it ran, e.g. production. `eval`, `evaluation` and `experiment` mark "
            "a run of evals: such a trace never becomes a case."
        ),
    ] = None
    release: Annotated[
        str | None, msgspec.Meta(description="Version of the application that answered.")
    ] = None
    model: Annotated[str | None, msgspec.Meta(description="The model that answered.")] = None
    started_at: Time = None
    latency_ms: Annotated[
        NonNegative | None,
        msgspec.Meta(
            description="How long the user waited for the answer, in milliseconds; the latency "
            "scorer judges it."
        ),
    ] = None
    cost_usd: Annotated[
        NonNegative | None, msgspec.Meta(description="What it cost, in US dollars.")
    ] = None
    tokens_in: Annotated[
        Count | None, msgspec.Meta(description="Tokens the model read, over all its calls.")
    ] = None
    tokens_out: Annotated[
        Count | None, msgspec.Meta(description="Tokens the model wrote, over all its calls.")
    ] = None
    session_id: Annotated[
        str | None, msgspec.Meta(description="The conversation this request belongs to.")
    ] = None
    user_id: Annotated[
        str | None,
        msgspec.Meta(description="A pseudonym: the same for the same user, never a name or mail."),
    ] = None
    input: Annotated[
        Content, msgspec.Meta(description="What was asked: text, or your own JSON.")
    ] = None
    output: Annotated[
        Content, msgspec.Meta(description="What was answered: text, or your own JSON.")
    ] = None
    steps: Annotated[
        tuple[Step, ...], msgspec.Meta(description="What happened on the way, in order.")
    ] = ()
    signals: Annotated[
        tuple[Signal, ...],
        msgspec.Meta(
            description="How it went, as far as it is known; what is learnt later goes to "
            "/v1/feedback."
        ),
    ] = ()
    metadata: Annotated[
        dict[str, Any],
        msgspec.Meta(
            description="Anything else, by name. `error.type`, `error.message` or `error` make the "
            "trace a failure (the error scorer). `evalratchet.run` and `langfuse.experiment.*` "
            "mark a run of evals: such a trace never becomes a case."
        ),
    ] = {}


def content_text(content: Content) -> str:
    """Content as one text: itself when it is text, else its JSON with sorted keys, else empty."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    return msgspec.json.encode(content, order="deterministic").decode()
