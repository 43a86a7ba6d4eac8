"""Throws bytes at everything that decodes what clients send, guided by coverage (atheris).

    .venv/bin/python tests/fuzz/fuzz_decoders.py -max_total_time=600 corpus/

The first byte chooses the decoder. A decoder may refuse with its own error and nothing else; what it
takes must encode, decode again, and assemble. Arguments are libFuzzer's; a crash leaves its bytes in a
`crash-*` file, which the same command with that file's name runs again. Imports are instrumented, so
this runs in a process of its own.
"""

import sys
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import atheris

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "http")]

with atheris.instrument_imports(include=["capture", "services.http.inflate"]):
    import msgspec

    from capture.assemble import assemble
    from capture.events import FeedbackReceived, SpansReceived, TraceReceived
    from capture.feedback.langfuse import decode_ingestion, decode_scores
    from capture.feedback.langsmith import decode_langsmith
    from capture.feedback.phoenix import decode_annotations
    from capture.ids import sealed
    from capture.malformed import Malformed
    from capture.native import (
        Refused,
        decode_captures,
        decode_feedback,
        ignored_in_captures,
        ignored_in_feedback,
    )
    from capture.otlp import (
        NotTraces,
        decode_json,
        decode_logs_json,
        decode_logs_protobuf,
        decode_protobuf,
    )
    from services.http.inflate import TooManyBytes, decompressed

Piece = TraceReceived | SpansReceived | FeedbackReceived

MAX_BYTES = 20_000
NOW = datetime(2026, 3, 1, tzinfo=UTC)
OTHERS: dict[str, Any] = {"project": "p", "max_bytes": MAX_BYTES, "now": NOW}
OTLP: dict[str, Any] = {"header_project": None, "max_bytes": MAX_BYTES}
REFUSALS = (Malformed, NotTraces, zlib.error, TooManyBytes)


def _taken(items: Any) -> list[Piece]:
    return [item for item in items if not isinstance(item, Refused)]


def _captures(body: bytes) -> list[Piece]:
    ignored_in_captures(body)
    return _taken(decode_captures(body, max_bytes=MAX_BYTES))


def _feedback(body: bytes) -> list[Piece]:
    ignored_in_feedback(body)
    return _taken(decode_feedback(body, max_bytes=MAX_BYTES))


def _unpacked(encoding: str) -> Callable[[bytes], list[Piece]]:
    def unpack(body: bytes) -> list[Piece]:
        assert len(decompressed(body, encoding, MAX_BYTES)) <= MAX_BYTES
        return []

    return unpack


def _items(items: Any) -> list[Piece]:
    return [event for item in items for event in item.events]


DECODERS: tuple[Callable[[bytes], list[Piece]], ...] = (
    _captures,
    _feedback,
    lambda body: list(decode_json(body, **OTLP).pieces),
    lambda body: list(decode_protobuf(body, **OTLP).pieces),
    lambda body: list(decode_logs_json(body, **OTLP).pieces),
    lambda body: list(decode_logs_protobuf(body, **OTLP).pieces),
    lambda body: _items(decode_scores(body, **OTHERS)[0]),
    lambda body: _items([decode_langsmith(body, **OTHERS)]),
    lambda body: _items(decode_annotations(body, "trace", **OTHERS)),
    lambda body: decode_ingestion(body, **OTHERS) and [],
    _unpacked("gzip"),
    _unpacked("deflate"),
)


def test_one_input(data: bytes) -> None:
    """Decode, and hold what was taken to what comes after."""
    if not data:
        return
    try:
        pieces = DECODERS[data[0] % len(DECODERS)](data[1:])
    except REFUSALS:
        return
    for piece in pieces:
        _, encoded = sealed(piece)
        msgspec.json.decode(encoded, type=type(piece))
    by_trace: dict[tuple[str, str], list[Piece]] = {}
    for piece in pieces:
        by_trace.setdefault((piece.project, piece.trace_id), []).append(piece)
    for several in by_trace.values():
        assemble(several)


def write_seeds(folder: Path) -> None:
    """Begin from the corpus of malformed requests: each body, for each decoder of its kind."""
    from malformed_corpus import REQUESTS, TAKEN  # noqa: PLC0415 - only here

    kinds = {
        "/v1/captures": (0, 10, 11),
        "/v1/feedback": (1,),
        "/v1/traces": (2, 3),
        "/v1/logs": (4, 5),
        "/api/public/scores": (6, 9),
        "/feedback": (7,),
        "/v1/trace_annotations": (8,),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for number, (path, _, body, *_rest) in enumerate([*REQUESTS, *TAKEN]):
        for kind in kinds[path]:
            if len(body) < MAX_BYTES:
                (folder / f"seed-{number}-{kind}").write_bytes(bytes([kind]) + body)


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        if not argument.startswith("-") and not Path(argument).exists():
            write_seeds(Path(argument))
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()
