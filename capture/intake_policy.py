"""Which traces a project scores and keeps, as data."""

from functools import lru_cache
from typing import Annotated

import msgspec

from capture.scoring.globs import Glob, matcher
from capture.scoring.sample import drawn

_KEPT_FILTERS = 256  # compiled: as many projects as one process sees at a time


class EnvironmentFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Environments by globs; case counts not. A trace that names none has the environment ``.

    One that fits `exclude` is left out whatever `include` says; an empty `include` includes all.
    """

    include: tuple[Glob, ...] = ()
    exclude: tuple[Glob, ...] = ()

    def admits(self, environment: str | None) -> bool:
        """Whether traces of this environment are scored and kept."""
        if not self.include and not self.exclude:
            return True
        return _admits(self.include, self.exclude, (environment or "").strip())


class IntakePolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is scored, and how much of what passed is kept.

    `keep_good` is the share of passed traces that are kept for the retention, drawn by a hash of the
    trace id. The others, and those of other environments, go `drop_after_seconds` after they were
    scored: as long, a thumb down finds them. A failing trace is always kept.
    """

    environments: EnvironmentFilter = EnvironmentFilter()
    keep_good: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    drop_after_seconds: Annotated[float, msgspec.Meta(ge=0, le=31_536_000)] = 3600.0

    def keeps(self, trace_id: str) -> bool:
        """Whether a trace that passed is kept: the same answer on every machine, at any time."""
        return drawn(self.keep_good, "keep_good", trace_id)


@lru_cache(maxsize=_KEPT_FILTERS * 16)
def _admits(include: tuple[str, ...], exclude: tuple[str, ...], environment: str) -> bool:
    if exclude and _matcher(exclude)(environment):
        return False
    return not include or _matcher(include)(environment)


_matcher = lru_cache(maxsize=_KEPT_FILTERS)(matcher)
