import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from services.stream import envelope, sqlite_log
from services.stream.outcome import DeadLetter
from services.stream.port import Message, Record
from services.stream.sqlite_thread import connect

Run = Callable[..., Result]
RunJson = Callable[..., Any]

BODIES = (b'{"a": 1}', b"plain text", b"\x00\xff\x1b[31m")


@pytest.fixture
def letters(filled: object, publish: Callable[[Sequence[Message]], None]) -> None:
    """Three dead letters of the scorer, one of the grader, parked as the loop parks them."""
    origin = [("traces", "scorer", body) for body in BODIES] + [("patterns", "grader", b"{}")]
    publish(
        [
            envelope.dead_letter(
                Record(topic, 0, at, b"key", body, (("schema", b"trace/1"),), 0),
                DeadLetter("undecodable", f"not JSON \x1b[31m({at})"),
                topic=f"{topic}.dlq",
                stage=stage,
            )
            for at, (topic, stage, body) in enumerate(origin)
        ]
    )


@pytest.mark.usefixtures("letters")
def test_the_list_has_every_letter_with_its_reason(cli: Run, cli_json: RunJson) -> None:
    listed = cli_json("dlq", "list")
    assert {one["id"] for one in listed} == {"scorer:0:0", "scorer:0:1", "scorer:0:2", "grader:0:0"}
    assert {one["reason"] for one in listed} == {"undecodable"}
    table = cli("dlq", "list")
    assert "not JSON" in table.stdout
    assert "\x1b" not in table.stdout


@pytest.mark.usefixtures("letters")
def test_the_list_of_one_stage_begins_with_the_newest(cli_json: RunJson) -> None:
    listed = cli_json("dlq", "list", "scorer", "--limit", "2")
    assert [one["id"] for one in listed] == ["scorer:0:2", "scorer:0:1"]


@pytest.mark.usefixtures("letters")
@pytest.mark.parametrize(
    ("offset", "shown"), [(0, '"a": 1'), (1, "plain text"), (2, "00 ff 1b 5b 33 31 6d")]
)
def test_a_body_is_shown_as_json_as_text_or_in_hexadecimal(
    cli: Run, offset: int, shown: str
) -> None:
    result = cli("dlq", "show", f"scorer:0:{offset}")
    assert result.exit_code == 0
    assert shown in result.stdout
    assert "trace/1" in result.stdout
    assert "\x1b" not in result.stdout


@pytest.mark.usefixtures("letters")
def test_json_gives_the_bytes_whatever_they_are(cli_json: RunJson) -> None:
    assert cli_json("dlq", "show", "scorer:0:1")["body"] == "plain text"
    assert bytes.fromhex(cli_json("dlq", "show", "scorer:0:2")["body_hex"]) == BODIES[2]


@pytest.mark.usefixtures("letters")
def test_a_replay_puts_the_very_bytes_back_and_hides_the_letter(
    cli: Run, cli_json: RunJson, waiting_in: Callable[[str, str], list[bytes]]
) -> None:
    result = cli("dlq", "replay", "scorer:0:2", "scorer:0:0")
    assert result.exit_code == 0, result.output
    assert "2 replayed." in result.stdout
    assert waiting_in("traces", "evalratchet.scorer") == [BODIES[2], BODIES[0]]
    assert {one["id"] for one in cli_json("dlq", "list")} == {"scorer:0:1", "grader:0:0"}
    shown = {one["id"]: one["replayed"] for one in cli_json("dlq", "list", "--replayed")}
    assert shown["scorer:0:2"] is True
    assert cli_json("status")["dead_letters"] == 2


@pytest.mark.usefixtures("letters")
def test_a_letter_is_not_replayed_twice_by_accident(
    cli: Run, waiting_in: Callable[[str, str], list[bytes]]
) -> None:
    cli("dlq", "replay", "scorer:0:0")
    second = cli("dlq", "replay", "scorer:0:0")
    assert "--again" in second.stdout
    assert "0 replayed." in second.stdout
    assert "1 replayed." in cli("dlq", "replay", "scorer:0:0", "--again").stdout
    assert waiting_in("traces", "evalratchet.scorer") == [BODIES[0], BODIES[0]]


@pytest.mark.usefixtures("letters")
def test_all_are_replayed_of_one_stage_or_of_every(cli: Run, cli_json: RunJson) -> None:
    assert (
        "3 would be replayed"
        in cli("dlq", "replay", "--all", "--stage", "scorer", "--dry-run").stdout
    )
    assert len(cli_json("dlq", "list")) == 4
    assert "3 replayed." in cli("dlq", "replay", "--all", "--stage", "scorer").stdout
    assert "1 replayed." in cli("dlq", "replay", "--all").stdout
    assert cli_json("dlq", "list") == []
    assert "4 were replayed" in cli("dlq", "list").stderr


@pytest.mark.usefixtures("letters")
def test_letters_that_the_retention_deleted_are_counted_no_more(
    cli: Run, cli_json: RunJson, home: Path
) -> None:
    cli("dlq", "replay", "scorer:0:0")
    connection = connect(home / "stream.db", writes=True)
    sqlite_log.sweep(connection, time.time_ns() // 1_000_000 + 31 * 86_400_000)
    connection.close()
    assert cli_json("status")["dead_letters"] == 0
    assert "0 replayed." in cli("dlq", "replay", "--all").stdout


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(
    "arguments",
    [
        ("show", "nonsense"),
        ("show", "scorer:0"),
        ("show", "nobody:0:0"),
        ("replay",),
        ("replay", "scorer:0:0", "--all"),
        ("replay", "scorer:0:0", "--stage", "scorer"),
        ("replay", "scorer:-1:0"),
        ("list", "nobody"),
    ],
)
def test_what_names_no_letter_is_wrong_use(cli: Run, arguments: tuple[str, ...]) -> None:
    result = cli("dlq", *arguments)
    assert result.exit_code == 2
    assert not result.stdout


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("command", ["show", "replay"])
def test_a_letter_that_is_not_there_is_an_answer(cli: Run, command: str) -> None:
    result = cli("dlq", command, "scorer:0:99")
    assert result.exit_code == 1
    assert "no dead letter scorer:0:99" in result.stderr


@pytest.mark.usefixtures("filled")
def test_no_letters_is_an_empty_document(cli: Run) -> None:
    assert json.loads(cli("dlq", "list", "--json").stdout) == []
