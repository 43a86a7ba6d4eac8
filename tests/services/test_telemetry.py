import json
import logging
import sys
from typing import get_args

import pytest
import structlog

from services.stream.outcome import DeadLetter, Emit, Skip
from services.telemetry import MetricName, Metrics, configure_logging


def _lines(captured: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in captured.splitlines()]


def test_every_metric_that_is_registered_is_listed_and_the_other_way_round() -> None:
    names = {
        family.name + ("_total" if family.type == "counter" else "")
        for family in Metrics().registry.collect()
    }
    assert names == set(get_args(MetricName))


def test_decisions_are_counted_by_stage_outcome_and_reason() -> None:
    metrics = Metrics()
    stage = metrics.stage("deduper")
    for outcome in (Skip("counted"), Skip("counted"), DeadLetter("too_large", "1 MB")):
        stage.count(outcome)
    stage.count(Emit(None))  # type: ignore[arg-type] - what is emitted is not looked at
    value = metrics.registry.get_sample_value
    name = "evalratchet_records_total"
    assert value(name, {"stage": "deduper", "outcome": "skip", "reason": "counted"}) == 2
    assert value(name, {"stage": "deduper", "outcome": "deadletter", "reason": "too_large"}) == 1
    assert value(name, {"stage": "deduper", "outcome": "emit", "reason": ""}) == 1


def test_a_stage_is_expected_from_the_moment_it_has_metrics() -> None:
    metrics = Metrics()
    metrics.stage("deduper")
    assert set(metrics.health.stages()) == {"deduper"}


def test_two_processes_worth_of_metrics_fit_into_one_process() -> None:
    """Registries are their own: tests, and `up`, may make as many as they like."""
    assert Metrics().registry is not Metrics().registry


def test_json_logs_are_one_object_a_line_also_from_libraries(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("json", "INFO")
    structlog.get_logger("services.x").info("dead_letter", topic="failures", offset=7)
    logging.getLogger("aiokafka.client").warning("lost %s", "a node")  # noqa: TID251 - a library's
    structlog.get_logger("services.x").debug("too_quiet")
    out, err = capsys.readouterr()
    ours, theirs = _lines(err)
    assert out == "", "standard output is the commands' own"
    assert (ours["event"], ours["level"], ours["offset"]) == ("dead_letter", "info", 7)
    assert (theirs["event"], theirs["logger"]) == ("lost a node", "aiokafka.client")
    assert str(ours["timestamp"]).endswith("Z")


def test_what_libraries_say_in_passing_is_left_out_until_somebody_looks_for_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One chatty client would else be most of the log."""
    library = logging.getLogger("alembic.runtime")  # noqa: TID251 - a library's
    configure_logging("json", "INFO")
    library.info("in passing")
    configure_logging("json", "DEBUG")
    library.info("now wanted")
    assert [line["event"] for line in _lines(capsys.readouterr().err)] == ["now wanted"]


def test_an_error_is_logged_with_its_traceback_on_the_same_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("json", "INFO")
    try:
        1 / 0  # noqa: B018 - to have an error
    except ZeroDivisionError:
        structlog.get_logger("services.x").exception("handler_error")
    (line,) = _lines(capsys.readouterr().err)
    assert "ZeroDivisionError: division by zero" in str(line["exception"])


def test_context_is_on_every_line_until_it_is_taken_back(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("json", "INFO")
    with structlog.contextvars.bound_contextvars(event_id="e1"):
        structlog.get_logger("services.x").info("inside")
    structlog.get_logger("services.x").info("outside")
    inside, outside = _lines(capsys.readouterr().err)
    assert inside["event_id"] == "e1"
    assert "event_id" not in outside


def test_console_logs_are_for_people_and_auto_is_json_where_nobody_looks(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    configure_logging("console", "INFO")
    structlog.get_logger("services.first").info("started", services=2)
    text = capsys.readouterr().err
    assert "started" in text
    assert not text.startswith("{")
    structlog.reset_defaults()
    assert not sys.stderr.isatty()
    configure_logging("auto", "INFO")
    structlog.get_logger("services.second").info("started")
    assert capsys.readouterr().err.startswith("{")


def test_failures_are_counted_by_fault_and_scorers_that_fail_by_name() -> None:
    metrics = Metrics()
    metrics.count_failure("shop", "infrastructure")
    metrics.count_failure("shop", "infrastructure")
    metrics.count_scorer_error("shop", "grounded/2")
    value = metrics.registry.get_sample_value
    labels = {"project": "shop", "fault": "infrastructure"}
    assert value("evalratchet_failures_total", labels) == 2
    labels = {"project": "shop", "scorer": "grounded/2"}
    assert value("evalratchet_scorer_errors_total", labels) == 1
