"""The commands that touch the stream, on real Kafka."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from typer.testing import Result

from services.stream import envelope
from services.stream.outcome import DeadLetter
from services.stream.port import Message, Record

Run = Callable[..., Result]
RunJson = Callable[..., Any]

pytestmark = pytest.mark.kafka


@pytest.fixture(autouse=True)
def _on_kafka(cli: Run, kafka_url: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Topics of this test's own, made by the command itself."""
    monkeypatch.setenv("EVALRATCHET_STREAM", kafka_url)
    monkeypatch.setenv("EVALRATCHET_TOPIC_PREFIX", topic_prefix)
    monkeypatch.setenv("EVALRATCHET_TOPIC_PARTITIONS", "3")
    assert cli("db", "upgrade").exit_code == 0
    made = cli("topics", "apply")
    assert made.exit_code == 0, made.output
    assert f"{topic_prefix}traces.dlq" in made.stdout


def test_topics_that_are_there_are_left_as_they_are(cli: Run, topic_prefix: str) -> None:
    again = cli("topics", "apply")
    assert again.exit_code == 0
    rows = [line for line in again.stdout.splitlines() if line.startswith(topic_prefix)]
    assert len(rows) == 9
    assert not any("created" in row for row in rows)


def test_lag_is_what_a_group_has_not_read(
    cli: Run,
    cli_json: RunJson,
    publish: Callable[[Sequence[Message]], None],
    topic_prefix: str,
) -> None:
    publish([Message(f"{topic_prefix}failures", str(n).encode(), b"{}") for n in range(7)])
    lags = {stage["stage"]: stage["lag"] for stage in cli_json("status")["stages"]}
    assert lags == {"scorer": 0, "deduper": 7, "grader": 0, "promoter": 0}
    waited = cli("status", "--wait", "--timeout", "0.5")
    assert waited.exit_code == 1
    assert "7 failures to be grouped (dedup)" in waited.stderr
    assert "evalratchet serve" in waited.stderr
    assert "evalratchet up" not in waited.stderr


def test_a_dead_letter_goes_back_to_its_topic(
    cli: Run,
    cli_json: RunJson,
    publish: Callable[[Sequence[Message]], None],
    waiting_in: Callable[[str, str], list[bytes]],
    topic_prefix: str,
) -> None:
    origin = Record(f"{topic_prefix}graded", 2, 5, b"key", b"\x00body", (), 0)
    verdict = DeadLetter("undecodable", "not JSON")
    parked = envelope.dead_letter(
        origin, verdict, topic=f"{topic_prefix}graded.dlq", stage="promoter"
    )
    publish([parked])
    (letter,) = cli_json("dlq", "list")
    assert letter["id"] == "promoter:0:0"
    assert "00 62 6f 64 79" in cli("dlq", "show", "promoter:0:0").stdout
    replayed = cli("dlq", "replay", "--all")
    assert replayed.exit_code == 0, replayed.output
    assert cli_json("status")["dead_letters"] == 0
    assert waiting_in(f"{topic_prefix}graded", "cli-test") == [b"\x00body"]


def test_brokers_that_are_away_exit_with_3(cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALRATCHET_STREAM", "kafka://127.0.0.1:9")
    for command in (("status",), ("topics", "apply"), ("dlq", "list")):
        result = cli(*command)
        assert result.exit_code == 3
        assert "127.0.0.1:9" in result.stderr


def test_a_stream_in_which_nothing_is_says_how_to_make_the_topics(
    cli: Run, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVALRATCHET_TOPIC_PREFIX", f"{topic_prefix}none.")
    shown = cli("status")
    assert shown.exit_code == 0
    assert "evalratchet topics apply" in shown.stdout
