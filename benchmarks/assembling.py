"""What it costs to put a trace together from its spans, in CPU time a span.

.venv/bin/python benchmarks/assembling.py [--rounds 300] [FILE.otlp.json ...]

The trace is an agent's: four calls of a model, each with the whole conversation so far and the tools
it was offered, three tool calls and two HTTP requests. Files have recorded traces as OTLP/JSON.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from capture.assemble import assemble
from capture.events import Span, SpansReceived
from capture.otlp import decode_json

_BEGAN = 1_700_000_000_000_000_000
_SECOND = 1_000_000_000
_TURNS = 4
_TOOLS = [
    {
        "type": "function",
        "name": f"tool_{number}",
        "description": "Looks up what is known of an order. " * 3,
        "parameters": {
            "type": "object",
            "properties": {"order": {"type": "string"}, "days": {"type": "integer"}},
        },
    }
    for number in range(4)
]


def _span(number: int, name: str, start: int, took: int, attributes: dict[str, Any]) -> Span:
    return Span(
        span_id=f"{number:016x}",
        parent_span_id=None if number == 1 else f"{1:016x}",
        name=name,
        start_ns=_BEGAN + start,
        end_ns=_BEGAN + start + took,
        attributes={"otel.scope.name": "agent", **attributes},
    )


def _called(turn: int, told: list[Any], said: list[Any]) -> dict[str, Any]:
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.model": "gpt-4o-2024-08-06",
        "gen_ai.response.id": f"chatcmpl-{turn}",
        "gen_ai.request.temperature": 0.2,
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 100 * (turn + 1),
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.input.messages": json.dumps(told),
        "gen_ai.output.messages": json.dumps(said),
        "gen_ai.tool.definitions": json.dumps(_TOOLS),
        "server.address": "api.openai.com",
    }


def agents_trace() -> SpansReceived:
    """Ten spans, about 3 kB each."""
    text = "Where is my order 8812? I have been waiting for a week. "
    told: list[Any] = [
        {
            "role": "system",
            "parts": [{"type": "text", "content": "You are a support agent. " * 20}],
        },
        {"role": "user", "parts": [{"type": "text", "content": text * 5}]},
    ]
    agent = {"gen_ai.operation.name": "invoke_agent", "session.id": "s", "user.id": "u"}
    spans = [_span(1, "invoke_agent support", 0, 9 * _SECOND, agent)]
    for turn in range(_TURNS):
        last = turn == _TURNS - 1
        call = {
            "type": "tool_call",
            "id": f"c{turn}",
            "name": f"tool_{turn}",
            "arguments": {"a": 1},
        }
        answer = {"type": "text", "content": "It is on its way. " * 20}
        said = [{"role": "assistant", "parts": [answer if last else call]}]
        start = (turn + 1) * _SECOND
        spans.append(
            _span(len(spans) + 1, "chat gpt-4o", start, _SECOND // 2, _called(turn, told, said))
        )
        if last:
            break
        returned = {"found": True, "eta": "tomorrow"}
        tool = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": f"tool_{turn}",
            "gen_ai.tool.call.id": f"c{turn}",
            "gen_ai.tool.call.arguments": '{"a": 1}',
            "gen_ai.tool.call.result": json.dumps(returned),
        }
        spans.append(
            _span(len(spans) + 1, f"tool_{turn}", start + _SECOND // 2, _SECOND // 4, tool)
        )
        result = {"type": "tool_call_response", "id": f"c{turn}", "response": returned}
        told = [*told, *said, {"role": "tool", "parts": [result]}]
    for _ in range(2):
        request = {"http.request.method": "GET", "url.full": "https://shop/orders/8812"}
        spans.append(_span(len(spans) + 1, "GET", _SECOND, _SECOND // 4, request))
    return SpansReceived(event_id="e", project="p", trace_id="t", spans=tuple(spans))


def microseconds_a_span(piece: SpansReceived, rounds: int) -> float:
    """CPU time, the best of five."""
    best = float("inf")
    for _ in range(5):
        began = time.process_time()
        for _ in range(rounds):
            assemble([piece])
        best = min(best, (time.process_time() - began) / rounds)
    return best * 1e6 / len(piece.spans)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("files", nargs="*", type=Path)
    given = parser.parse_args()
    trace = agents_trace()
    took = microseconds_a_span(trace, given.rounds)
    print(f"an agent's trace of {len(trace.spans)} spans: {took:.1f} us a span")
    for file in given.files:
        decoded = decode_json(file.read_bytes(), header_project=None, max_bytes=1 << 20)
        for piece in decoded.pieces:
            took = microseconds_a_span(piece, max(1, given.rounds // 10))
            print(f"{file.name}, {len(piece.spans)} spans: {took:.1f} us a span")


if __name__ == "__main__":
    main()
