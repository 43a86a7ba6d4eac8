"""Traces in files: told apart by what is in them, one thing to send at a time."""

import codecs
import gzip
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Literal

import msgspec

from services.cli.problem import misused

STANDARD_INPUT = "-"

Kind = Literal["native", "otlp"]

_OTLP_KEYS = ("resourceSpans", "resource_spans", "resourceLogs", "resourceMetrics")
_GZIP_MAGIC = b"\x1f\x8b"

_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw] | list[msgspec.Raw])


class Found(msgspec.Struct, frozen=True):
    """Something to send, as JSON, and where it stood."""

    file: str
    line: int
    kind: Kind
    body: bytes


class Unreadable(msgspec.Struct, frozen=True):
    """A line that cannot be sent, and why."""

    file: str
    line: int
    reason: str


def check_files(files: Sequence[str]) -> None:
    """Raise a `Problem` for the first file that cannot be read, before anything is sent."""
    for name in files:
        if name == STANDARD_INPUT:
            continue
        try:
            Path(name).open("rb").close()
        except OSError as error:
            misused(
                f"{name} cannot be read.",
                f"{error.strerror}. Nothing was sent.",
            )


class TraceFile:
    """A file of traces; `-` is standard input. Gzip is unpacked.

    Lines of JSON are read one at a time. A file whose first line is not JSON by itself is one
    document, indented over many lines, if the whole of it is JSON; else its lines are told apart.
    """

    def __init__(self, name: str) -> None:
        """Open the file."""
        self.name = "standard input" if name == STANDARD_INPUT else name
        self._file = (
            sys.stdin.buffer if name == STANDARD_INPUT else Path(name).open("rb")  # noqa: SIM115 - closed by close
        )
        self._on_disk = name != STANDARD_INPUT and Path(name).is_file()

    @property
    def position(self) -> int:
        """How many bytes have been read of it as it lies on disk; 0 for a pipe."""
        return self._file.tell() if self._on_disk else 0

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not sys.stdin.buffer:
            self._file.close()

    def __iter__(self) -> Iterator[Found | Unreadable]:
        """Every trace and OTLP request, in order, and what is neither."""
        number = 0
        try:
            for number, text in self._documents():
                yield from _classified(self.name, number, text)
        except (OSError, EOFError, zlib.error) as error:  # a disk that fails, a gzip file cut short
            yield Unreadable(self.name, number + 1, f"the rest cannot be read: {error}")

    def _documents(self) -> Iterator[tuple[int, bytes]]:
        """Lines, or the whole file as one document, with the number of the first line."""
        numbered = self._numbered()
        first = next(numbered, None)
        if first is None:
            return
        lines: Iterable[tuple[int, bytes]] = chain([first], numbered)
        if _problem(first[1]) is not None:
            held = list(lines)
            whole = b"".join(text for _, text in held)
            lines = [(first[0], whole)] if _problem(whole) is None else held
        yield from lines

    def _numbered(self) -> Iterator[tuple[int, bytes]]:
        """The lines that have something in them, with their numbers from 1."""
        for number, line in enumerate(self._unpacked(), start=1):
            text = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
            if text.strip():
                yield number, text

    def _unpacked(self) -> Iterable[bytes]:
        peek = getattr(self._file, "peek", None)
        packed = peek is not None and peek(2)[:2] == _GZIP_MAGIC
        return gzip.open(self._file, "rb") if packed else self._file


def _classified(name: str, line: int, text: bytes) -> Iterator[Found | Unreadable]:
    problem = _problem(text)
    if problem is not None:
        yield Unreadable(name, line, problem)
        return
    document = _decoder.decode(text)
    if isinstance(document, list):
        for one in document:
            yield Found(name, line, "native", bytes(one))
    elif any(key in document for key in _OTLP_KEYS):
        yield Found(name, line, "otlp", text.strip())
    elif "traces" in document and "trace_id" not in document:
        yield from _classified(name, line, bytes(document["traces"]))
    else:
        yield Found(name, line, "native", text.strip())


def _problem(text: bytes) -> str | None:
    """Why this is not a JSON object or array, in a few words; None when it is one."""
    try:
        _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return f"not a trace in JSON: {error}"
    return None
