"""A model provider that speaks OpenAI's chat completions: it asks for one tool, then it answers."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "gpt-4o-2024-08-06"
QUESTION = "Where is my order 8812?"
ANSWER = "Order 8812 is on its way."
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "find_order",
            "description": "Looks an order up.",
            "parameters": {"type": "object", "properties": {"order": {"type": "string"}}},
        },
    }
]
_CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "find_order", "arguments": '{"order": "8812"}'},
}
_USAGE = {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16}


def _completion(**choice: Any) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "created": 1_762_335_000,
        "model": MODEL,
        "choices": [{"index": 0, **choice}],
    }


def _chunks() -> Iterator[dict[str, Any]]:
    for word in ANSWER.split(" "):
        delta = {"role": "assistant", "content": word if word == "Order" else f" {word}"}
        yield _completion(delta=delta, finish_reason=None)
    yield _completion(delta={}, finish_reason="stop")
    yield {**_completion(), "choices": [], "usage": _USAGE}


class _Provider(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        """One completion."""
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        answered = any(message["role"] == "tool" for message in asked["messages"])
        if asked.get("stream"):
            lines = [json.dumps({"object": "chat.completion.chunk", **c}) for c in _chunks()]
            body = "".join(f"data: {line}\n\n" for line in [*lines, "[DONE]"]).encode()
            kind = "text/event-stream"
        else:
            content = {"content": ANSWER} if answered else {"content": None, "tool_calls": [_CALL]}
            reason = "stop" if answered else "tool_calls"
            message = {"role": "assistant", **content}
            whole = _completion(message=message, finish_reason=reason)
            body = json.dumps({"object": "chat.completion", **whole, "usage": _USAGE}).encode()
            kind = "application/json"
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def provider() -> str:
    """Start it in this process; its base address, as OpenAI's client takes it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Provider)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/v1"


def converse(client: Any) -> None:
    """What an application does: a question, the tool the model asked for, the answer, streamed."""
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "You are kind."},
        {"role": "user", "content": QUESTION},
    ]
    first = client.chat.completions.create(model="gpt-4o", messages=messages, tools=TOOLS)
    messages.append(first.choices[0].message.model_dump(exclude_none=True))
    messages.append({"role": "tool", "tool_call_id": "call_1", "content": '{"state": "sent"}'})
    answer = client.chat.completions.create(
        model="gpt-4o",
        messages=messages,
        tools=TOOLS,
        stream=True,
        stream_options={"include_usage": True},
    )
    said = "".join(c.choices[0].delta.content or "" for c in answer if c.choices)
    if said != ANSWER:
        message = f"the provider said {said!r}"
        raise SystemExit(message)
