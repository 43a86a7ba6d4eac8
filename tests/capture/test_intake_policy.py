import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.experiments import MARKERS, is_experiment
from capture.intake_policy import EnvironmentFilter, IntakePolicy
from capture.trace import Trace


@pytest.mark.parametrize(
    ("include", "exclude", "environment", "admitted"),
    [
        ((), (), None, True),
        ((), (), "anything", True),
        (("prod*",), (), "Production", True),
        (("prod*",), (), " production ", True),
        (("prod*",), (), "preprod", False),
        (("prod*",), (), None, False),
        (("*",), (), None, True),
        ((), ("dev*", "test"), "development", False),
        ((), ("dev*", "test"), "testing", True),
        ((), ("dev*",), None, True),
        (("prod*",), ("prod-canary",), "prod-canary", False),
        (("a.b",), (), "axb", False),
    ],
)
def test_an_environment_is_admitted_by_globs_and_exclusion_wins(
    include: tuple[str, ...], exclude: tuple[str, ...], environment: str | None, *, admitted: bool
) -> None:
    assert EnvironmentFilter(include=include, exclude=exclude).admits(environment) is admitted


@given(st.lists(st.uuids().map(str), min_size=1, max_size=50), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_keeps_all_that_a_smaller_one_keeps(
    trace_ids: list[str], one: float, other: float
) -> None:
    """So a share that is raised loses nothing that was drawn before."""
    smaller, larger = (IntakePolicy(keep_good=share) for share in sorted((one, other)))
    assert all(larger.keeps(name) for name in trace_ids if smaller.keeps(name))


def test_the_share_is_kept_and_the_ends_are_none_and_all() -> None:
    names = [f"trace-{number}" for number in range(20_000)]
    kept = sum(IntakePolicy(keep_good=0.1).keeps(name) for name in names)
    assert 1_800 < kept < 2_200
    assert not any(IntakePolicy(keep_good=0).keeps(name) for name in names)
    assert all(IntakePolicy().keeps(name) for name in names)


@pytest.mark.parametrize("marker", MARKERS)
def test_every_mark_that_is_kept_beside_a_trace_is_understood(marker: str) -> None:
    """`capture/spare.py` keeps these however many other attributes there are."""
    value = "experiment_id:7" if marker == "braintrust.parent" else "1"
    name = marker + "id" if marker.endswith(".") else marker
    assert is_experiment(Trace(trace_id="t", project="p", metadata={name: value}))


def test_phoenix_names_the_projects_of_its_experiments() -> None:
    phoenix = "Experiment-0123456789abcdef01234567"
    assert is_experiment(Trace(trace_id="t", project=phoenix))
    assert not is_experiment(Trace(trace_id="t", project="Experiment-2026"))
