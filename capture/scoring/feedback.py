"""Scorer of what users said: thumbs, stars, labels."""

from collections.abc import Callable, Sequence

import msgspec

from capture.scoring.globs import matcher
from capture.scoring.last_words import last_words
from capture.scoring.scorer import Finding, Globs, LocalScorer, Rule, Said
from capture.scoring.wording import number, shown, spoken
from capture.trace import Signal, Trace

_USER_SOURCES = frozenset({"user", "end_user", "end-user", "enduser"})
_THUMBS = frozenset({"thumb", "thumbs", "thumbs_up", "thumbs-up"})
_USER_NAMES = _THUMBS | frozenset(
    {"feedback", "user_feedback", "user-feedback", "user_rating", "user-rating"}
)
_UNHAPPY_NAMES = frozenset({"thumbs_down", "thumbs-down"})
_UNHAPPY_LABELS = frozenset(
    {
        "down",
        "thumbs_down",
        "thumbs-down",
        "thumbsdown",
        "👎",
        "negative",
        "bad",
        "poor",
        "dislike",
        "disliked",
        "unhelpful",
        "not_helpful",
        "incorrect",
        "wrong",
        "false",
        "no",
    }
)
_HALF = 0.5  # of a thumb: the middle between down (0) and up (1)


class FeedbackScorer(LocalScorer, frozen=True, kw_only=True, tag="feedback"):
    """Fails a trace that a user was unhappy with: false, a low number, or a bad label.

    `scale` is the lowest and the highest number users can give; without `below`, what is under its
    middle is unhappy: 0.5 of thumbs, 3 of one to five stars. A number outside the scale, and one
    whose name says that it is a thumb, is taken as a thumb: 0 or 1.

    Signals of users and those named like feedback are asked; `signals` adds others by name.

    Raises:
        ValueError: the scale has no extent.
    """

    below: float | None = None
    scale: tuple[float, float] = (0, 1)
    signals: Globs = ()
    bad_labels: tuple[str, ...] = ()
    good_labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a scale that is none."""
        low, high = self.scale
        if not low < high:
            message = (
                f"`scale` is the lowest and the highest rating, for example [1, 5]; "
                f"[{number(low)}, {number(high)}] has no room between"
            )
            raise ValueError(message)

    @property
    def bound(self) -> float:
        """The number below which a rating is unhappy."""
        return sum(self.scale) / 2 if self.below is None else self.below

    def rule(self) -> Rule:
        """Judge the last word of each user on each question."""
        named = matcher(self.signals) if self.signals else None
        judge = _Judge(self)

        def rule(trace: Trace) -> Sequence[Said]:
            if not trace.signals:
                return ()
            findings = []
            for signal in last_words(trace):
                name = signal.name.lower()
                if _is_users(signal, name, named) and (problem := judge.problem(signal, name)):
                    comment = f" The comment: {shown(signal.comment)}" if signal.comment else ""
                    reason = f"The {signal.source} gave {signal.name} = {problem}.{comment}"
                    findings.append(
                        Finding(
                            name=signal.name,
                            value=signal.value,
                            reason=reason,
                            source=signal.source,
                        )
                    )
            return findings

        return rule


def _is_users(signal: Signal, name: str, named: Callable[[str], bool] | None) -> bool:
    return (
        signal.source.lower() in _USER_SOURCES
        or name in _USER_NAMES
        or name in _UNHAPPY_NAMES
        or (named is not None and named(name))
    )


class _Judge(msgspec.Struct, frozen=True):
    """What in a user's signal says that they were unhappy."""

    scorer: FeedbackScorer

    def problem(self, signal: Signal, name: str) -> str | None:
        """The value, with the bound it crossed; None when the user was not unhappy."""
        value = signal.label if signal.value is None else signal.value
        if name in _UNHAPPY_NAMES:  # here the name is the verdict, and false or 0 takes it back
            return None if value is False or value == 0 else spoken(value)
        if isinstance(value, bool):
            return None if value else "false"
        if isinstance(value, str):
            return f"{shown(value)!r}" if self._is_bad(value) else None
        if value is None:
            return None
        bound = self._bound_for(value, name)
        return f"{number(value)}, below the bound of {number(bound)}" if value < bound else None

    def _is_bad(self, label: str) -> bool:
        folded = _folded(label)
        if folded in {_folded(good) for good in self.scorer.good_labels}:
            return False
        return folded in _UNHAPPY_LABELS or folded in {
            _folded(bad) for bad in self.scorer.bad_labels
        }

    def _bound_for(self, value: float, name: str) -> float:
        low, _ = self.scorer.scale
        is_thumb = name in _THUMBS and 0 <= value <= 1
        return _HALF if is_thumb or (value < low and value in {0, 1}) else self.scorer.bound


def _folded(label: str) -> str:
    return label.strip().lower().replace(" ", "_")
