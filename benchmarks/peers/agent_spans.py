"""Spans as an instrumented agent sends them: OTLP protobuf requests, the same ones in every run.

A request is made once and stamped anew for every post: ids and order numbers are written over at
their places, which costs the client microseconds, and no two posts have a text in common.
"""

import json
import random
from collections.abc import Sequence
from typing import NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

SPANS_A_TRACE = 10

MAIL = b"@mail-"
"""In every e-mail address that a span has: what redaction must not leave in the stream."""
POOL = 20_000  # spans made; after so many their prose comes again, with other ids and numbers

_STARTED_NS = 1_764_000_000_000_000_000
_RUN = b"evalrtch"  # the first half of every trace id; the second counts
_NAMES = (
    "Amara Okafor",
    "Jonas Lindqvist",
    "Mei Tanaka",
    "Luis Ortega",
    "Priya Raman",
    "Eva Novak",
)
_SYSTEM = (
    "You are the support agent of an online shop. Answer in the customer's language, quote the order "
    "number, never promise a date that the carrier has not confirmed, and ask before you cancel."
)
_SENTENCES = (
    "My order {order} was due on {day} November and the tracking page has not moved since Tuesday.",
    "I was charged twice, once on 2026-10-{day:02} and once the day after, {sum} EUR each time.",
    "The parcel came damaged; the lid of the box is broken and one of the glasses has a crack.",
    "Could you change the delivery address of order {order} before it leaves the warehouse?",
    "The size chart says {day} cm, but what was in the box measures at least four more.",
    "I returned everything on the {day}th at 14:35 and nobody has confirmed it so far.",
    "The voucher is refused at the checkout although it is valid for another {day} days.",
    "Please send the invoice for order {order} again; the last one has the wrong company name.",
)
_ANSWERS = (
    "I have looked at order {order}: the carrier scanned it last on 2026-11-{day:02} in the depot.",
    "A second charge of {sum} EUR is a reservation, which your bank releases within {day} working days.",
    "I am sorry about the damage. A replacement leaves the warehouse on the {day}th, free of charge.",
    "The address can still be changed until {day} o'clock; I have noted the new one for you.",
    "You may choose an exchange or a refund of {sum} EUR; both take {day} days once it has arrived.",
    "The return for order {order} was booked on {day}/11/2026, so the money is on its way to your card.",
)
_TOOLS = ("find_order", "carrier_status", "refund_preview")
_ORDER = "XQ00000000"  # where a post's own number goes: letters that nothing else has, eight digits
_DIGITS = 8


class Template(NamedTuple):
    """A request and the places in it that each post writes over.

    `spans` counts its spans. Places are byte offsets with the span's number in the request.
    """

    body: bytes
    spans: int
    trace_ids: list[tuple[int, int]]
    span_ids: list[tuple[int, int]]
    orders: list[tuple[int, int]]


def stamped(pool: Sequence[Template], first: int) -> bytearray:
    """The request whose spans are numbered from `first`, a multiple of how many it has."""
    template = pool[first // pool[0].spans % len(pool)]
    body = bytearray(template.body)
    for place, number in template.trace_ids:
        trace = (first + number) // SPANS_A_TRACE
        body[place + 8 : place + 16] = (trace + 1).to_bytes(8, "big")
    for place, number in template.span_ids:
        body[place : place + 8] = span_id(first + number)
    for place, number in template.orders:
        digits = b"%0*d" % (_DIGITS, (first + number) * 7919 % 10**_DIGITS)
        body[place : place + _DIGITS] = digits
    return body


def span_id(number: int) -> bytes:
    """The id of the span with this number, from 0."""
    return (number + 1).to_bytes(8, "big")


def span_number(span_id_hex: str) -> int:
    """The number that a span id stands for."""
    return int(span_id_hex, 16) - 1


def templates(spans: int, *, pool: int = POOL) -> Sequence[Template]:
    """Requests of so many spans each, `pool` spans in all: with 1 span, the ten of a trace in turn."""
    return [_template(first, spans) for first in range(0, pool, spans)]


def _template(first: int, spans: int) -> Template:
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.extend(
        _pairs(
            {
                "service.name": "support-agent",
                "service.version": "2026.11.1",
                "deployment.environment.name": "production",
                "telemetry.sdk.language": "python",
            }
        )
    )
    scope = resource.scope_spans.add()
    scope.scope.name, scope.scope.version = "opentelemetry.instrumentation.openai_v2", "2.2b0"
    for number in range(spans):
        scope.spans.append(_span(first + number))
    body = request.SerializeToString()
    trace_ids = _places(body, _RUN)
    orders = _places(body, _ORDER.encode())
    marks = [_places(body, _mark(first + number)) for number in range(spans)]
    roots = [number - (first + number) % SPANS_A_TRACE for number in range(spans)]
    span_ids = [(places[0], number) for number, places in enumerate(marks)]
    parent_of = {
        _places(body, b"PRNT" + _mark(first + n)[4:])[0]: roots[n]
        for n in _with_parent(first, spans)
    }
    ends = [place for place, _ in span_ids]
    return Template(
        body,
        spans,
        [(place, number) for number, place in enumerate(trace_ids)],
        [*span_ids, *parent_of.items()],
        [(place + 2, _owner(ends, place)) for place in orders],
    )


def _with_parent(first: int, spans: int) -> list[int]:
    return [n for n in range(spans) if (first + n) % SPANS_A_TRACE]


def _owner(starts: list[int], place: int) -> int:
    """Which span a place belongs to: the last that starts before it."""
    low, high = 0, len(starts)
    while low < high:
        middle = (low + high) // 2
        if starts[middle] <= place:
            low = middle + 1
        else:
            high = middle
    return max(0, low - 1)


def _places(body: bytes, mark: bytes) -> list[int]:
    found, at = [], body.find(mark)
    while at >= 0:
        found.append(at)
        at = body.find(mark, at + len(mark))
    return found


def _mark(number: int) -> bytes:
    """A stand-in for a span id that is found again in the bytes."""
    return b"SPAN" + b"%04x" % (number % 0x10000)


def _span(number: int) -> Span:
    rng = random.Random(number)
    position = number % SPANS_A_TRACE
    start = _STARTED_NS + number * 1_000_000
    span = Span(
        trace_id=_RUN + b"\x00" * 8,
        span_id=_mark(number),
        start_time_unix_nano=start,
        end_time_unix_nano=start + rng.randrange(80, 2_000) * 1_000_000,
        kind=Span.SPAN_KIND_INTERNAL if position == 0 else Span.SPAN_KIND_CLIENT,
    )
    if position:
        span.parent_span_id = b"PRNT" + _mark(number)[4:]
    if position == 0:
        span.name = "invoke_agent support"
        attributes = _agent(number, rng)
    elif position % 3 == 0:
        tool = _TOOLS[position // 3 - 1]
        span.name = f"execute_tool {tool}"
        attributes = _tool(number, rng, tool)
    else:
        span.name = "chat gpt-4o"
        attributes = _chat(number, rng)
    span.attributes.extend(_pairs(attributes))
    return span


def _agent(number: int, rng: random.Random) -> dict[str, object]:
    asked, answered = _prose(rng, _SENTENCES, 13), _prose(rng, _ANSWERS, 11)
    return {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "support",
        "gen_ai.conversation.id": f"conversation-{number // SPANS_A_TRACE % 997}",
        "gen_ai.input.messages": _messages([("user", _signed(asked, number, rng))]),
        "gen_ai.output.messages": _messages([("assistant", answered)]),
    }


def _chat(number: int, rng: random.Random) -> dict[str, object]:
    asked, answered = _prose(rng, _SENTENCES, 12), _prose(rng, _ANSWERS, 9)
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.model": "gpt-4o-2026-08-06",
        "gen_ai.request.temperature": 0.2,
        "gen_ai.usage.input_tokens": rng.randrange(300, 700),
        "gen_ai.usage.output_tokens": rng.randrange(60, 200),
        "gen_ai.response.finish_reasons": "stop",
        "gen_ai.system_instructions": json.dumps([{"type": "text", "content": _SYSTEM}]),
        "gen_ai.input.messages": _messages([("user", _signed(asked, number, rng))]),
        "gen_ai.output.messages": _messages([("assistant", answered)]),
    }


def _tool(number: int, rng: random.Random, tool: str) -> dict[str, object]:
    notes = [_prose(rng, _ANSWERS, 3) for _ in range(9)]
    return {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": tool,
        "gen_ai.tool.call.id": f"call_{number % 100_000:05d}",
        "gen_ai.tool.call.arguments": json.dumps({"order": _ORDER, "limit": 5}),
        "gen_ai.tool.call.result": json.dumps(
            {"notes": [_signed(notes[0], number, rng), *notes[1:]]}
        ),
    }


def _signed(text: str, number: int, rng: random.Random) -> str:
    """The text with its sender's name; every tenth span has an e-mail address or a phone number too.

    Which of a trace's spans that is changes from trace to trace.
    """
    name = rng.choice(_NAMES)
    if number % SPANS_A_TRACE != number // SPANS_A_TRACE % SPANS_A_TRACE:
        return f"{text} Regards, {name}"
    if number // SPANS_A_TRACE % 2:
        phone = f"+49 30 {rng.randrange(200_000, 999_999)}{rng.randrange(10, 99)}"
        return f"{text} Call me on {phone}, {name}"
    user = name.lower().replace(" ", ".")
    return (
        f"{text} Write to {user}{rng.randrange(100)}@mail-{rng.randrange(1000)}.example.com, {name}"
    )


def _prose(rng: random.Random, sentences: Sequence[str], count: int) -> str:
    return " ".join(
        rng.choice(sentences).format(
            order=_ORDER,
            day=rng.randrange(3, 29),
            sum=f"{rng.randrange(5, 900)}.{rng.randrange(100):02}",
        )
        for _ in range(count)
    )


def _messages(said: Sequence[tuple[str, str]]) -> str:
    return json.dumps(
        [{"role": role, "parts": [{"type": "text", "content": text}]} for role, text in said]
    )


def _pairs(attributes: dict[str, object]) -> list[KeyValue]:
    pairs = []
    for key, value in attributes.items():
        pair = KeyValue(key=key)
        if isinstance(value, str):
            pair.value.string_value = value
        elif isinstance(value, float):
            pair.value.double_value = value
        elif isinstance(value, int):
            pair.value.int_value = value
        pairs.append(pair)
    return pairs
