"""The desk: customers come in, the agent serves them, and every conversation leaves a trace."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from typing import Any

from supportdesk.agent import Agent
from supportdesk.chance import draw
from supportdesk.customer import Mood, signals
from supportdesk.scenarios import SCENARIOS, Defect, Scenario, Subject
from supportdesk.shop import Shop
from supportdesk.tools import StockCache, Toolbox
from supportdesk.transcript import Transcript, timestamp

PROJECT = "demo"
MODEL = "demo-agent-1"
RELEASE = "support-desk-1.4.0"
FIRST_MORNING = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
BETWEEN_CONVERSATIONS_S = 210
DEFAULT_COUNT = sum(len(scenario.wordings()) for scenario in SCENARIOS)
CUSTOMERS = 10


@dataclass(frozen=True)
class Visit:
    """A customer with a question: who wants what, in which words, about what."""

    scenario: Scenario
    wording: str
    subject: Subject
    customer: str


@dataclass(frozen=True)
class Recorded:
    """A trace in the native format, and what is known about it.

    `meets` is the defect that the question runs into, if any, by the plan of the scenarios.
    """

    trace: dict[str, Any]
    meets: Defect | None

    @property
    def failed(self) -> bool:
        """Whether the customer did not get what they came for."""
        return any(s["name"] == "task_resolved" and not s["value"] for s in self.trace["signals"])


def visits(seed: int) -> Iterator[Visit]:
    """Customers without end: every wording once, shuffled, then again about something else."""
    for number in count():
        day = [
            (scenario, index, wording)
            for scenario in SCENARIOS
            for index, wording in enumerate(scenario.wordings())
        ]
        day.sort(key=lambda visit: draw(seed, number, visit[0].name, visit[1]))
        for scenario, index, wording in day:
            subject = scenario.subjects[(index + number) % len(scenario.subjects)]
            yield Visit(scenario, wording, subject, _customer(scenario, subject, index + number))


def _customer(scenario: Scenario, subject: Subject, index: int) -> str:
    """Who asks: the one whose order it is, else anybody."""
    if subject.order:
        return Shop().orders[subject.second or subject.order].customer
    return subject.customer or f"cu-{1 + draw(0, scenario.name, index) % CUSTOMERS:02}"


def serve(visit: Visit, *, seed: int, number: int) -> Recorded:
    """Hold one conversation. The shop is as it is that noon: opened, then some stock has moved."""
    shop = Shop()
    tools = Toolbox(shop, StockCache(shop))
    shop.book_movements()
    trace_id = hashlib.blake2b(
        f"{seed}/{number}/{visit.scenario.name}/{visit.wording}".encode(), digest_size=16
    ).hexdigest()
    wait = number * BETWEEN_CONVERSATIONS_S + draw(seed, "wait", number) % BETWEEN_CONVERSATIONS_S
    started = FIRST_MORNING + timedelta(seconds=wait)
    transcript = Transcript(key=trace_id, seed=seed, now=started)
    agent = Agent(tools, visit.customer, transcript)
    turns = visit.scenario.turns(visit.wording, visit.subject)
    output = [agent.answer(turn) for turn in turns][-1]
    said = signals(
        visit.scenario.wants(visit.subject, visit.customer),
        shop,
        output,
        tool_failed=bool(transcript.failed_tools),
        mood=Mood(seed, trace_id),
    )
    trace = {
        "trace_id": trace_id,
        "project": PROJECT,
        "environment": "production",
        "release": RELEASE,
        "model": MODEL,
        "started_at": timestamp(started),
        "latency_ms": transcript.latency_ms,
        "cost_usd": transcript.cost_usd,
        "tokens_in": transcript.tokens_in,
        "tokens_out": transcript.tokens_out,
        "session_id": f"session-{started:%m%d}-{visit.customer}",
        "user_id": visit.customer,
        "input": turns[0],
        "output": output,
        "steps": transcript.steps,
        "signals": said,
        "metadata": {"channel": "chat", "turns": len(turns)},
    }
    return Recorded(trace, visit.scenario.defect)


def record(*, amount: int = DEFAULT_COUNT, seed: int = 0) -> Iterator[Recorded]:
    """Serve that many customers. The same amount and seed give the same traces."""
    for number, visit in enumerate(islice(visits(seed), amount)):
        yield serve(visit, seed=seed, number=number)
