"""What a project may decide about its duplicates."""

from typing import Annotated

import msgspec

DEFAULT_DISTANCE = 0.30
"""Between what single sentences want (0.50) and whole sessions want (0.20), nearer to keeping apart:
two patterns for one failure cost a glance, one pattern for two failures hides one. Measured by
`benchmarks/grouping.py`; the figures are in `docs/benchmarks.md`."""

Distance = Annotated[float, msgspec.Meta(ge=0, le=2)]


class DedupPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`distance`: two failures nearer than this cosine distance are the same pattern."""

    distance: Distance = DEFAULT_DISTANCE
