"""Files are told apart by what is in them."""

import gzip
import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cli.problem import ExitCode, Problem
from services.cli.trace_files import Found, TraceFile, Unreadable, check_files

ONE, TWO = b'{"trace_id": "a", "project": "p"}', b'{"trace_id": "b", "project": "p"}'


def _read(path: Path, content: bytes) -> Sequence[Found | Unreadable]:
    path.write_bytes(content)
    file = TraceFile(str(path))
    try:
        return list(file)
    finally:
        file.close()


def _kinds(items: Sequence[Found | Unreadable]) -> list[tuple[int, str]]:
    return [(i.line, i.kind if isinstance(i, Found) else "unreadable") for i in items]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (ONE + b"\n" + TWO + b"\n", [(1, "native"), (2, "native")]),
        (ONE + b"\r\n\r\n" + TWO, [(1, "native"), (3, "native")]),
        (b"\xef\xbb\xbf" + ONE, [(1, "native")]),
        (b"\n\n" + ONE + b"\nnot json\n" + TWO, [(3, "native"), (4, "unreadable"), (5, "native")]),
        (b"not json\n" + ONE, [(1, "unreadable"), (2, "native")]),
        (b"[" + ONE + b"," + TWO + b"]", [(1, "native"), (1, "native")]),
        (b'{"traces": [' + ONE + b"]}", [(1, "native")]),
        (b'{"resourceSpans": []}', [(1, "otlp")]),
        (b'{"resourceSpans": []}\n{"resourceSpans": []}\n', [(1, "otlp"), (2, "otlp")]),
        (b'{"resourceLogs": []}', [(1, "otlp")]),
        (json.dumps(json.loads(ONE), indent=2).encode(), [(1, "native")]),
        (b'{\n "resourceSpans": [\n ]\n}\n', [(1, "otlp")]),
        (b"3\n" + ONE, [(1, "unreadable"), (2, "native")]),
        (b"\xff\xfe\x00", [(1, "unreadable")]),
        (b"", []),
        (b"\n \n", []),
    ],
)
def test_what_is_in_a_file_is_told_apart(
    tmp_path: Path, content: bytes, expected: list[tuple[int, str]]
) -> None:
    assert _kinds(_read(tmp_path / "file", content)) == expected


def test_a_native_trace_is_sent_as_it_stands(tmp_path: Path) -> None:
    (item,) = _read(tmp_path / "file", b"  " + ONE + b"  \n")
    assert isinstance(item, Found)
    assert item.body == ONE


def test_a_gzip_file_is_unpacked(tmp_path: Path) -> None:
    assert _kinds(_read(tmp_path / "file", gzip.compress(ONE + b"\n" + TWO))) == [
        (1, "native"),
        (2, "native"),
    ]


def test_a_gzip_file_that_was_cut_short_gives_what_can_be_read_and_says_so(tmp_path: Path) -> None:
    line = json.dumps({"trace_id": os.urandom(200_000).hex()}).encode() + b"\n"
    packed = gzip.compress(ONE + b"\n" + line)
    items = _read(tmp_path / "file", packed[: len(packed) // 2])
    assert _kinds(items) == [(1, "native"), (2, "unreadable")]


@given(lines=st.lists(st.binary(max_size=20).filter(lambda line: b"\n" not in line), max_size=5))
def test_whatever_stands_between_a_good_trace_is_found(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]
) -> None:
    """After any hostile line, the good one still gets through."""
    content = b"\n".join([*lines, ONE]) + b"\n"
    if content.startswith(b"\x1f\x8b"):
        return
    items = _read(tmp_path_factory.mktemp("hostile") / "file", content)
    assert any(isinstance(item, Found) and item.body == ONE for item in items)


@pytest.mark.parametrize("name", ["missing.jsonl", "."])
def test_a_file_that_cannot_be_read_is_wrong_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Problem, match="cannot be read") as told:
        check_files(["-", name])
    assert told.value.code == ExitCode.USAGE
