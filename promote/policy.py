"""Promotion rules as data: which set a new case belongs to."""

from typing import Annotated, Literal

import msgspec

from capture.events import Severity
from promote.case import WaitsFor

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class PromotionRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A case at least this severe and at least this heavy goes to `set`.

    `blocking` is not a choice here: only an owner moves a case there.
    """

    set: Literal["monitoring", "backlog"]
    min_severity: Severity = "low"
    min_weight: Share = 0
    waits_for: WaitsFor | None = None


class PromotionPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The first rule that fits decides; a case that fits none waits in the backlog for review."""

    rules: tuple[PromotionRule, ...] = (PromotionRule(set="monitoring", min_severity="high"),)
