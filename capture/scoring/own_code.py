"""Scorer in Python of the project's own: what it may return, and what that means."""

import math
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from capture.events import SEVERITIES
from capture.scoring.scorer import Finding, RemoteScorer, Said, Trouble
from capture.scoring.wording import number, shown

_FIELDS = frozenset({"passed", "score", "reason", "severity", "name", "value"})
_NAME_CHARS = 128


class PythonScorer(RemoteScorer, frozen=True, kw_only=True, tag="python"):
    """Asks a function: `package.module:function`, or a name in the group `evalratchet.scorers`.

    It is called with the trace as a plain dict, and `options` as keyword arguments, in a worker
    process that is killed after `timeout_seconds`. It returns None (nothing to say), a truth value
    (whether the trace passed), a number (which fails below `below`), or a dict with `passed` or
    `score`, and `reason`, `severity`, `name`, `value` as it likes.
    """

    function: Annotated[
        str,
        msgspec.Meta(pattern=r"^[A-Za-z_][\w.-]*(:[A-Za-z_][\w.]*)?\Z", max_length=256),
    ]
    below: float = 0.5
    timeout_seconds: Annotated[float, msgspec.Meta(gt=0, le=60)] = 5.0
    options: dict[str, Any] = msgspec.field(default_factory=dict)

    def verdict(self, returned: Any) -> Sequence[Said]:
        """What the function's answer means. What is no answer is a trouble."""
        if returned is None:
            return ()
        if isinstance(returned, bool):
            return () if returned else (self._finding(returned, f"{self.label} says it failed."),)
        if isinstance(returned, (int, float)):
            return self._of_number(float(returned))
        if isinstance(returned, dict):
            return self._of_dict(returned)
        return (
            Trouble(
                f"{self.function} returned {type(returned).__name__}; it may return None, a truth "
                "value, a number or a dict"
            ),
        )

    def _of_number(self, score: float) -> Sequence[Said]:
        if not math.isfinite(score):
            return (Trouble(f"{self.function} returned {score}, which is no score"),)
        if score >= self.below:
            return ()
        reason = f"{self.label} is {number(score)}, below the bound of {number(self.below)}."
        return (self._finding(score, reason),)

    def _of_dict(self, returned: dict[str, Any]) -> Sequence[Said]:
        if problem := _problem(returned):
            return (Trouble(f"{self.function} returned a dict {problem}"),)
        passed = returned.get("passed")
        said = self.verdict(passed if passed is not None else returned.get("score"))
        return [self._as_told(one, returned) if isinstance(one, Finding) else one for one in said]

    def _as_told(self, found: Finding, returned: dict[str, Any]) -> Finding:
        reason = returned.get("reason")
        value = returned.get("value", returned.get("score"))
        return msgspec.structs.replace(
            found,
            name=str(returned.get("name") or found.name)[:_NAME_CHARS],
            reason=shown(reason) if reason else found.reason,
            value=found.value if value is None else value,
            severity=returned.get("severity"),
        )

    def _finding(self, value: bool | float, reason: str) -> Finding:  # noqa: FBT001 - a verdict
        return Finding(name=self.label, value=value, reason=reason)


def _problem(returned: dict[str, Any]) -> str | None:
    unknown = [str(key) for key in returned if key not in _FIELDS]
    if unknown:
        return f"with {', '.join(sorted(unknown))}; it may have {', '.join(sorted(_FIELDS))}"
    if returned.get("passed") is None and returned.get("score") is None:
        return "without `passed` and without `score`"
    checks = {
        "passed": isinstance(returned.get("passed"), (bool, type(None))),
        "score": isinstance(returned.get("score"), (int, float, type(None))),
        "severity": returned.get("severity") in {None, *SEVERITIES},
        "value": isinstance(returned.get("value"), (bool, int, float, str, type(None))),
    }
    wrong = [name for name, right in checks.items() if not right]
    return f"whose `{wrong[0]}` is {shown(repr(returned[wrong[0]]))}" if wrong else None
