"""Modes keep their ids from one refit to the next, as far as they keep their patterns."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import msgspec

from capture.ids import derive_id

_KEPT = 0.5  # of the smaller of both: then the new one is the old one
_CAME = 0.25  # of an old mode in a new one, or the reverse: then they are kin


class Lineage(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the modes.

    `ids`: by label, the mode's id. `parents`: by new id, the modes that a new one came from.
    `absorbed`: by id, the modes that ended in this one. `gone`: ids that are no more.
    """

    ids: Sequence[str]
    parents: Mapping[str, Sequence[str]]
    absorbed: Mapping[str, Sequence[str]]
    gone: Sequence[str]

    @property
    def kept(self) -> int:
        """How many modes are known from before."""
        return sum(one not in self.parents for one in self.ids)


def lineage(
    pattern_ids: Sequence[str],
    labels: Sequence[int],
    before: Mapping[str, str],
    *,
    project: str,
    refit: int,
) -> Lineage:
    """Match new clusters with the modes of the refit before, the largest overlaps first.

    Args:
        pattern_ids: by row.
        labels: by row, from 0, -1 for none.
        before: the mode of each pattern that had one; ids of modes that are alive.
        project: the modes' project; ids are derived from it.
        refit: this refit's number; a new id is derived from it and the mode's first pattern.
    """
    count = max(labels, default=-1) + 1
    old_sizes, new_sizes = Counter(before.values()), [0] * count
    overlaps: Counter[tuple[str, int]] = Counter()
    first: list[str] = [""] * count
    for pattern_id, label in zip(pattern_ids, labels, strict=True):
        old = before.get(pattern_id)
        if label >= 0:
            first[label] = min(first[label] or pattern_id, pattern_id)
            if old is not None:  # patterns that are new say nothing about what was
                new_sizes[label] += 1
                overlaps[old, label] += 1
    ids: list[str | None] = [None] * count
    taken: dict[str, str] = {}
    for (old, label), shared in sorted(overlaps.items(), key=lambda one: (-one[1], one[0])):
        alike = shared >= _KEPT * min(old_sizes[old], new_sizes[label])
        if alike and ids[label] is None and old not in taken:
            ids[label] = taken[old] = old
    named = [
        one or derive_id("mode", project, str(refit), first[label])[:12]
        for label, one in enumerate(ids)
    ]
    kin = defaultdict(list)
    for (old, label), shared in sorted(overlaps.items()):
        if shared >= _CAME * min(old_sizes[old], new_sizes[label]):
            kin[label].append(old)
    gone = sorted(set(old_sizes) - set(taken))
    return Lineage(
        ids=named,
        parents={named[n]: kin[n] for n in range(count) if ids[n] is None},
        absorbed={
            named[n]: ended
            for n in range(count)
            if ids[n] is not None and (ended := [old for old in kin[n] if old in gone])
        },
        gone=gone,
    )
