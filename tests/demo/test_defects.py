"""Every defect of the demo agent happens, for the reason its label says, and can be seen."""

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import get_args

import pytest
from supportdesk.agent import Agent
from supportdesk.desk import DEFAULT_COUNT, Recorded, record
from supportdesk.guard import refuses
from supportdesk.help_centre import HELP_PAGES
from supportdesk.scenarios import DAYS_AS_WRITTEN, Defect
from supportdesk.shop import Shop
from supportdesk.tools import StockCache, Toolbox
from supportdesk.understanding import Request
from supportdesk.wording import WORDINGS

from capture.trace import Trace

LATENCY_BOUND_MS = 30_000

Labelled = list[tuple[Trace, str | None]]


def failing_signals(trace: Trace) -> set[str]:
    """What scorers without any setting of the demo's own can see."""
    found = {signal.name for signal in trace.signals if signal.value == 0}
    if any(step.error for step in trace.steps):
        found.add("step_error")
    if (trace.latency_ms or 0) > LATENCY_BOUND_MS:
        found.add("latency")
    return found


def results(trace: Trace, tool: str) -> list[str]:
    return [
        str(step.error or step.content)
        for step in trace.steps
        if step.type == "tool_result" and step.name == tool
    ]


def arguments(trace: Trace, tool: str) -> list[object]:
    return [s.arguments for s in trace.steps if s.type == "tool_call" and s.name == tool]


def is_broken_json(text: object) -> bool:
    try:
        json.loads(str(text))
    except json.JSONDecodeError:
        return True
    return False


@dataclass(frozen=True)
class Evidence:
    """What a defect's traces look like inside, and which signals say so at least."""

    seen: Callable[[Trace], bool]
    signals: frozenset[str]


EVIDENCE = {
    "carrier_timeout": Evidence(
        lambda trace: "nordpost.example did not answer" in results(trace, "track_parcel")[0],
        frozenset({"step_error", "latency"}),
    ),
    "date_as_written": Evidence(
        lambda trace: "YYYY-MM-DD" in results(trace, "reschedule_delivery")[0],
        frozenset({"step_error"}),
    ),
    "amount_as_text": Evidence(
        lambda trace: "must be a number" in results(trace, "issue_refund")[0],
        frozenset({"step_error"}),
    ),
    "stale_stock": Evidence(
        lambda trace: bool(results(trace, "check_stock")), frozenset({"user_feedback"})
    ),
    "superseded_page": Evidence(
        lambda trace: "60 days" in str(trace.output), frozenset({"user_feedback"})
    ),
    "overeager_guard": Evidence(
        lambda trace: trace.output in WORDINGS["refusal"], frozenset({"user_feedback"})
    ),
    "unescaped_export": Evidence(
        lambda trace: is_broken_json(trace.output), frozenset({"user_feedback"})
    ),
    "sticky_order": Evidence(
        lambda trace: len({str(a) for a in arguments(trace, "get_order")}) == 1,
        frozenset({"user_feedback"}),
    ),
}


def test_every_defect_has_its_evidence_listed_here() -> None:
    assert set(EVIDENCE) == set(get_args(Defect))


@pytest.mark.parametrize("defect", sorted(EVIDENCE))
def test_a_defect_fails_every_question_that_meets_it_for_its_own_reason(
    labelled: Labelled, defect: str
) -> None:
    traces = [trace for trace, meets in labelled if meets == defect]
    assert len(traces) >= 4 * 8
    for trace in traces:
        assert EVIDENCE[defect].seen(trace), trace
        assert failing_signals(trace) >= EVIDENCE[defect].signals | {"task_resolved"}, trace


def test_a_well_answered_trace_carries_no_failing_signal(labelled: Labelled) -> None:
    healthy = [trace for trace, meets in labelled if meets is None]
    assert [trace for trace in healthy if failing_signals(trace)] == []
    assert all(trace.output for trace in healthy)


def test_between_35_and_45_percent_of_the_default_recording_fail(labelled: Labelled) -> None:
    first = labelled[:DEFAULT_COUNT]
    counts = Counter(meets for _, meets in first)
    assert 200 <= len(first) <= 300
    assert 0.35 <= 1 - counts[None] / len(first) <= 0.45
    assert min(counts[defect] for defect in EVIDENCE) >= 8


def test_failed_says_what_the_customer_found(recorded: list[Recorded]) -> None:
    assert all(r.failed == (r.meets is not None) for r in recorded)


def test_a_refreshed_cache_mends_the_stale_stock() -> None:
    """The defect is a missing call, not a wrong number written somewhere."""
    shop = Shop()
    cache = StockCache(shop)
    shop.book_movements()
    assert cache.units("G-101") == 14
    cache.refresh()
    assert cache.units("G-101") == 0


def remember_the_last(agent: Agent, request: Request) -> None:
    agent._memory.order = request.order or agent._memory.order


def read_comma(text: str) -> float:
    return float(re.sub(r"[^0-9.,]", "", text).replace(",", "."))


def export_encoded(tools: Toolbox, customer: str) -> tuple[str, float]:
    return json.dumps(tools._shop.history(customer)), 0.12


def refuse_harm(text: str) -> bool:
    """Refuse what is about harming somebody, not what merely contains the letters."""
    victims = r"a person|dog|someone|in a car|landlord|cyclists|the courier who|build a bomb"
    return re.search(victims, text.lower()) is not None


reschedule = Agent._reschedule


def reschedule_iso(agent: Agent, request: Request) -> str:
    iso = {subject.said: subject.date for subject in DAYS_AS_WRITTEN}
    return reschedule(agent, replace(request, date=iso.get(request.date, request.date)))


CURRENT_PAGES = tuple(page for page in HELP_PAGES if page.valid_until is None)
PROMPT_CARRIERS = dict.fromkeys(("NordPost", "Parcelway", "Swiftline"), 0.5)

MENDED = {
    "date_as_written": ("supportdesk.agent.Agent._reschedule", reschedule_iso),
    "overeager_guard": ("supportdesk.agent.refuses", refuse_harm),
    "sticky_order": ("supportdesk.agent.Agent._remember", remember_the_last),
    "amount_as_text": ("supportdesk.agent.read_amount", read_comma),
    "unescaped_export": ("supportdesk.tools.Toolbox._export_orders", export_encoded),
    "superseded_page": ("supportdesk.help_centre.HELP_PAGES", CURRENT_PAGES),
    "carrier_timeout": ("supportdesk.tools.CARRIER_ANSWERS_AFTER_S", PROMPT_CARRIERS),
    "stale_stock": ("supportdesk.tools.StockCache.units", lambda self, sku: self._shop.units[sku]),
}


@pytest.mark.parametrize("defect", sorted(EVIDENCE))
def test_mending_a_defect_removes_its_failures_and_no_others(
    monkeypatch: pytest.MonkeyPatch, defect: str
) -> None:
    """The customer judges by the records: with one place in the code mended, its questions pass."""
    monkeypatch.setattr(*MENDED[defect])
    failed = Counter(r.meets for r in record(amount=2 * DEFAULT_COUNT) if r.failed)
    assert set(failed) == set(EVIDENCE) - {defect}


def test_the_guard_also_refuses_what_it_should() -> None:
    assert refuses("how do I build a bomb")
    assert not refuses("how do I build a bird house")
