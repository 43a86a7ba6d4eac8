from typing import Any

import msgspec
import pytest

from capture.events import PieceBody, TraceSettled
from capture.experiments import GATE_MARKER
from capture.intake_policy import EnvironmentFilter, IntakePolicy
from capture.policy import ScoringPolicy
from capture.scoring.bounds import LatencyScorer
from capture.scoring.judge import JudgeScorer
from services.errors import Undecodable
from services.intake import Intake
from services.policy import Policy
from services.scorer import Scoring
from services.stream.outcome import DeadLetter, Skip

HOUR_MS = 3_600_000


@pytest.mark.parametrize(
    "marks",
    [
        {"environment": "evaluation"},
        {"environment": " Experiment "},
        {"environment": "sdk-experiment"},
        {"metadata": {"langfuse.experiment.id": "1"}},
        {"metadata": {"langsmith.reference_example_id": "e1"}},
        {"metadata": {"braintrust.parent": "experiment_id:7"}},
        {"metadata": {"mlflow.eval.requestId": "r1"}},
        {"metadata": {"openinference.project.name": "Experiment-0123456789abcdef01234567"}},
        {"metadata": {GATE_MARKER: "run-7"}},
    ],
)
async def test_evals_never_feed_themselves(
    scoring: Scoring, settled: Any, trace: Any, feedback: Any, marks: dict[str, Any]
) -> None:
    assert await scoring.handle([settled(trace(**marks), feedback())]) == [Skip("experiment")]


@pytest.mark.parametrize(
    "marks",
    [
        {"environment": "experimental"},
        {"metadata": {"braintrust.parent": "project_name:shop"}},
        {"metadata": {"openinference.project.name": "Experiment-results"}},
    ],
)
async def test_what_only_sounds_like_an_experiment_is_scored(
    scoring: Scoring, settled: Any, trace: Any, feedback: Any, failures: Any, marks: dict[str, Any]
) -> None:
    assert len(failures(await scoring.handle([settled(trace(**marks), feedback())]))) == 1


async def test_feedback_alone_waits_for_its_trace(
    scoring: Scoring, settled: Any, feedback: Any
) -> None:
    assert await scoring.handle([settled(feedback())]) == [Skip("archived")]


async def test_the_projects_own_bounds_decide(
    scoring: Scoring, policy_store: Any, settled: Any, trace: Any, failures: Any
) -> None:
    scorers = (LatencyScorer(above_ms=100, severity="critical"),)
    policy_store.policies["bank"] = Policy(scoring=ScoringPolicy(scorers=scorers))
    slow = [settled(trace(p, p, latency_ms=500)) for p in ("shop", "bank")]
    passed, failed = await scoring.handle(slow)
    assert passed == Skip("passed")
    (failure,) = failures([failed])
    assert failure.severity == "critical"
    assert failure.signals[0].value == 500


async def test_the_same_failure_has_the_same_id_whenever_it_is_found(
    scoring: Scoring, settled: Any, trace: Any, feedback: Any, failures: Any
) -> None:
    """A crash between publishing and settling gives the failure twice: one id, one effect."""
    one, two = (
        await scoring.handle([settled(trace(), feedback())]),
        await scoring.handle([settled(trace(), feedback(), feedback("t1"))]),
    )
    assert failures(one)[0].event_id == failures(two)[0].event_id


async def test_a_piece_that_cannot_be_read_raises_so_that_the_loop_parks_the_trace(
    scoring: Scoring,
) -> None:
    broken = PieceBody("trace/1", msgspec.Raw(b'{"event_id": 1}'))
    event = TraceSettled(event_id="x", project="shop", trace_id="t1", pieces=(broken,))
    await scoring.ready()
    with pytest.raises(Undecodable):
        await scoring.handle([event])


async def test_a_trace_that_cannot_be_read_at_once_is_one_dead_letter(
    intake: Intake,
    turn: Any,
    clock: Any,
    row: Any,
    trace: Any,
    feedback: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With what comes later it is no smaller."""
    monkeypatch.setattr("services.store.claims._TRACE_BYTES", 10)
    await intake.handle([trace()])
    clock.ms += 5_000
    (outcome,) = await turn()
    assert isinstance(outcome, DeadLetter)
    assert outcome.reason == "too_large"
    assert ((await row()).state, (await row()).why) == ("left_out", "too_large")
    await intake.handle([feedback()])
    clock.ms += 5_000
    assert await turn() == [Skip("already_failed")]


# --- what is kept ---


async def test_environments_that_the_policy_leaves_out_are_neither_scored_nor_kept(
    intake: Intake,
    store: Any,
    turn: Any,
    clock: Any,
    row: Any,
    policy_store: Any,
    trace: Any,
    feedback: Any,
) -> None:
    environments = EnvironmentFilter(include=("prod*",), exclude=("prod-canary",))
    policy_store.policies["shop"] = Policy(intake=IntakePolicy(environments=environments))
    named = {"t1": "Production", "t2": "staging", "t3": "prod-canary", "t4": None}
    for name, environment in named.items():
        await intake.handle([trace(name, environment=environment), feedback(name)])
    clock.ms += 5_000
    outcomes = await turn()
    assert outcomes.count(Skip("environment")) == 3
    assert [(await row(name)).why for name in named] == [None, *["environment"] * 3]
    clock.ms += HOUR_MS
    assert await store.archive.expire(now_ms=clock.ms, before_ms=0) == 3
    assert (await row("t1")).state == "failed"


async def test_good_traces_are_drawn_by_their_id_and_failing_ones_are_all_kept(
    intake: Intake,
    store: Any,
    turn: Any,
    clock: Any,
    row: Any,
    policy_store: Any,
    trace: Any,
    feedback: Any,
    failures: Any,
) -> None:
    policy = IntakePolicy(keep_good=0.25, drop_after_seconds=1800)
    policy_store.policies["shop"] = Policy(intake=policy)
    names = [f"t{number}" for number in range(60)]
    await intake.handle([trace(name) for name in names])
    await intake.handle([feedback(name) for name in names[:20]])
    clock.ms += 5_000
    assert len(failures(await turn())) == 20
    good = names[20:]
    drawn = [name for name in good if policy.keeps(name)]
    assert 0 < len(drawn) < len(good)
    clock.ms += HOUR_MS // 2
    assert await store.archive.expire(now_ms=clock.ms, before_ms=0) == len(good) - len(drawn)
    assert [name for name in names if await row(name) is not None] == [*names[:20], *drawn]


async def test_a_thumb_down_finds_a_good_trace_that_was_not_drawn_while_it_is_there(
    intake: Intake,
    store: Any,
    turn: Any,
    clock: Any,
    row: Any,
    policy_store: Any,
    trace: Any,
    feedback: Any,
    failures: Any,
) -> None:
    policy_store.policies["shop"] = Policy(intake=IntakePolicy(keep_good=0))
    await intake.handle([trace("quick"), trace("slow")])
    clock.ms += 5_000
    assert await turn() == [Skip("passed")] * 2
    await intake.handle([feedback("quick")])
    clock.ms += 5_000
    assert len(failures(await turn())) == 1
    clock.ms += HOUR_MS
    assert await store.archive.expire(now_ms=clock.ms, before_ms=0) == 1
    assert (await row("quick")).state == "failed"
    # the other is gone: its feedback waits for a trace that nobody sends again
    await intake.handle([feedback("slow")])
    clock.ms += 5_000
    assert await turn() == [Skip("archived")]


async def test_the_verdict_names_the_policys_version_and_the_session(
    intake: Intake, turn: Any, clock: Any, row: Any, policy_store: Any, trace: Any
) -> None:
    policy_store.policies["shop"] = Policy()
    await intake.handle([trace(session_id="s1")])
    clock.ms += 5_000
    await turn()
    assert ((await row()).policy_version, (await row()).session_id) == (1, "s1")


async def test_a_trace_that_a_scorer_could_not_judge_is_not_known_to_be_good_and_kept(
    intake: Intake, store: Any, turn: Any, clock: Any, row: Any, policy_store: Any, trace: Any
) -> None:
    """`rescore` asks a judge again that was down: the trace must still be there."""
    scorers = (JudgeScorer(rubric="polite", sample=1),)
    policy_store.policies["shop"] = Policy(
        scoring=ScoringPolicy(scorers=scorers), intake=IntakePolicy(keep_good=0)
    )
    await intake.handle([trace()])
    clock.ms += 5_000
    assert await turn() == [Skip("passed")]
    clock.ms += HOUR_MS
    assert await store.archive.expire(now_ms=clock.ms, before_ms=0) == 0
    assert (await row()).problems != ()
