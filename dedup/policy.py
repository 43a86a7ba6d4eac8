"""What a project may decide about its duplicates."""

from typing import Annotated, Literal

import msgspec

DEFAULT_DISTANCE = 0.60
"""Of vectors seen from the project's centre, where unrelated failures are 1 or more apart. Measured by
`benchmarks/grouping.py`: the figures are in `docs/benchmarks.md`, the reasons in decision 0020."""
DEFAULT_BAND = 0.05
"""How far below the dedup distance a decision still counts as doubtful: 2 of 100 joins, of which twice
as many are wrong as of the others (the same benchmark)."""

Distance = Annotated[float, msgspec.Meta(ge=0, le=2)]
Chars = Annotated[int, msgspec.Meta(ge=1, le=20_000)]
Part = Literal["turns", "signals", "error", "tool", "answer"]
Representative = Literal[
    "first",  # the pattern's first failure, for ever
    "medoid",  # the failure text nearest to the pattern's centroid; see `dedup.medoid`
]


class TextPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One part of the failure text and how many characters of it at most."""

    part: Part
    chars: Chars


class TextPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which parts make the failure text, in this order. A change of it is a new embedding space."""

    parts: tuple[TextPart, ...] = (
        TextPart(part="turns", chars=600),
        TextPart(part="signals", chars=200),
        TextPart(part="error", chars=200),
        TextPart(part="tool", chars=120),
        TextPart(part="answer", chars=80),
    )
    """Measured on recorded sessions, see decision 0024. Together they fit a window of 256 tokens, which
    is what the bundled model reads at once."""

    def __post_init__(self) -> None:
        """Refuse a text that says nothing, or one thing twice."""
        if not self.parts:
            message = "name at least one part: without any, all failures would have the same text"
            raise ValueError(message)
        names = [one.part for one in self.parts]
        if twice := next((name for name in names if names.count(name) > 1), None):
            message = f"the part {twice!r} is named twice: name each part once"
            raise ValueError(message)


class AdaptivePolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The distance follows coverage: `wide` while nothing is known, `distance` at full coverage."""

    wide: Distance


class DedupPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When two failures are the same failure.

    `distance`: nearer than this cosine distance of placed vectors is the same pattern. `grey_band`:
    the width below it in which a decision is doubtful, marked, and left to a reviewer or, with
    `grey_judge`, to the configured model. `merge_proposals`: what the modes' refit may do.
    `representative`: which failure's text stands for a pattern wherever people see it.
    """

    distance: Distance = DEFAULT_DISTANCE
    grey_band: Distance = DEFAULT_BAND
    grey_judge: bool = False
    merge_proposals: Literal["propose", "carry_out"] = "propose"
    representative: Representative = "first"
    adaptive: AdaptivePolicy | None = None
    text: TextPolicy = TextPolicy()
