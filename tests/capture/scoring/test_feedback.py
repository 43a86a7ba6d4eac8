"""What users say, on whatever scale they say it."""
# ruff: noqa: FBT001 - whether a trace fails is a parameter of the test

from typing import Any

import msgspec
import pytest

from capture.policy import ScoringPolicy
from capture.trace import Signal

STARS = {"type": "feedback", "scale": [1, 5]}


@pytest.mark.parametrize(
    ("name", "value", "fails"),
    [
        ("stars", 1.0, True),
        ("stars", 2.5, True),
        ("stars", 3.0, False),
        ("stars", 5.0, False),
        ("thumbs", 1.0, False),  # a thumb up is no single star
        ("thumbs", 0.0, True),
        ("thumbs", True, False),
        ("stars", 0.0, True),  # below every star: a thumb by another name
    ],
)
def test_stars_and_thumbs_of_one_project_are_told_apart(
    ask: Any, name: str, value: Any, fails: bool
) -> None:
    said = (Signal(name=name, value=value, source="user"),)
    assert bool(ask(STARS, signals=said)) is fails


def test_a_bound_of_ones_own_goes_before_the_middle_of_the_scale(ask: Any) -> None:
    said = (Signal(name="stars", value=3.0, source="user"),)
    (found,) = ask(STARS | {"below": 4}, signals=said)
    assert "3, below the bound of 4" in found.reason


def test_signals_with_other_names_are_feedback_where_the_policy_says_so(ask: Any) -> None:
    said = (Signal(name="csat_after_chat", value=1.0, source="survey"),)
    assert ask(STARS, signals=said) == []
    assert ask(STARS | {"signals": ["csat*"]}, signals=said)


def test_labels_of_ones_own_are_good_or_bad(ask: Any) -> None:
    scorer = {"type": "feedback", "bad_labels": ["Niet goed"], "good_labels": ["bad"]}
    for label, fails in (("niet goed", True), ("Bad", False), ("wrong", True), ("goed", False)):
        said = (Signal(name="feedback", value=label, source="user"),)
        assert bool(ask(scorer, signals=said)) is fails, label


def test_a_label_counts_where_there_is_no_value(ask: Any) -> None:
    said = (Signal(name="feedback", label="Incorrect", source="user"),)
    (found,) = ask({"type": "feedback"}, signals=said)
    assert "= 'Incorrect'" in found.reason
    number = (Signal(name="feedback", value=1.0, label="incorrect", source="user"),)
    assert ask({"type": "feedback"}, signals=number) == []


@pytest.mark.parametrize("scale", [[5, 1], [1, 1], [1], "1-5"])
def test_a_scale_without_extent_is_refused(scale: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"scorers": [{"type": "feedback", "scale": scale}]}, ScoringPolicy)
