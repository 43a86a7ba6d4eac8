"""What people put together stays together in a replay, what they set apart stays apart, and no more."""

from typing import Any

import msgspec
import numpy as np
import pytest

from dedup.by_hand import ByHand, Change, by_hand
from dedup.geometry import Geometry
from dedup.history import History, Move
from dedup.what_if import replay


def history(texts: int, said: ByHand | None, *, seed: int = 3, block: int = 8) -> History:
    """Texts in pairs of nearly the same, none of them fixed."""
    rng = np.random.default_rng(seed)
    middles = np.repeat(rng.normal(size=((texts + 1) // 2, block)), 2, axis=0)[:texts]
    vectors = middles + rng.normal(size=(texts, block)) * 0.05
    unit = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    codes = np.zeros(texts, dtype=np.int64)
    counts = np.ones(texts, dtype=np.int64)
    return History(
        fingerprints=[f"f{n}" for n in range(texts)],
        guards=["model|"] * texts,
        patterns=codes,
        decided=codes,
        names=["p"],
        occurrences=counts,
        asked=counts,
        fixed=np.zeros(texts, dtype=bool),
        vectors=unit,
        moves=[Move(0, Geometry(1, np.zeros(block, dtype=np.float32), None, young=False))],
        by_hand=said,
    )


def split(root: str, made: str, *rows: int, until: int | None = None, **more: Any) -> Change:
    texts = dict.fromkeys(rows, root)
    return Change(
        kind="split", **({"said": True} | more), until=until, root=root, made=made, texts=texts
    )


def merge(into: str, *merged: str, until: int | None = None, **more: Any) -> Change:
    members = {one: [one] for one in merged}
    return Change(kind="merge", **({"said": True} | more), until=until, root=into, members=members)


def held(stored: str, *changes: Change, **root_of: str) -> ByHand:
    """What holds of texts stored with these patterns, one letter each."""
    said = by_hand(list(stored), root_of, np.arange(len(stored)), changes)
    assert said is not None
    return said


def apart(said: ByHand, one: int, other: int) -> bool:
    sides = said.sides[said.camps[one]], said.sides[said.camps[other]]
    found = bool(sides[0].of & sides[1].against)
    assert found == bool(sides[1].of & sides[0].against)
    return found


def test_where_nobody_said_anything_everything_is_free() -> None:
    first = np.arange(4)
    assert by_hand(list("aabb"), {}, first, []) is None
    assert by_hand(list("aabb"), {"b": "a"}, first, [merge("a", "b", said=False)]) is None


def test_a_merge_puts_the_texts_together_that_there_were() -> None:
    said = held("aabbc", merge("a", "b", until=2), b="a")
    assert said.together.tolist() == [0, 0, 0, -1, -1]
    assert not said.camps.any()
    assert said.concerned.tolist() == [True, True, True, False, False]


def test_a_split_sets_its_piece_apart_from_what_was_left_and_leaves_that_free() -> None:
    said = held("abaca", split("a", "b", 1, until=3))
    assert said.together.tolist() == [-1, 0, -1, -1, -1]
    assert [apart(said, 1, row) for row in range(5)] == [True, False, True, False, False]
    assert not apart(said, 0, 2)


def test_a_merge_after_a_split_takes_back_what_was_said() -> None:
    said = held("abab", split("a", "b", 1, 3), merge("a", "b"), b="a")
    assert len(set(said.together.tolist())) == 1
    assert not any(apart(said, one, other) for one in range(4) for other in range(4))


def test_a_split_after_a_merge_takes_its_piece_out() -> None:
    said = held("aabc", merge("a", "b"), split("a", "c", 3), b="a")
    assert said.together[0] == said.together[1] == said.together[2] != said.together[3]
    assert all(apart(said, 3, row) for row in range(3))


def test_what_was_merged_with_a_piece_is_apart_from_what_the_piece_is_apart_from() -> None:
    said = held("abc", split("a", "b", 1), merge("b", "c"), c="b")
    assert said.together[1] == said.together[2]
    assert apart(said, 0, 1)
    assert apart(said, 0, 2)


def test_patterns_are_read_as_they_were_when_it_was_said() -> None:
    """What a distance did since moved texts, and changes nothing of what was said before."""
    later = split("a", "d", 2, said=False), merge("c", "d", said=False)
    said = held("abdc", split("a", "b", 1, until=2), *later, d="c")
    assert [apart(said, 1, row) for row in range(4)] == [True, False, True, False]


def test_a_part_of_the_rest_that_is_merged_with_the_piece_is_no_longer_apart_from_it() -> None:
    changes = split("a", "b", 1), split("a", "d", 2, said=False), merge("b", "d")
    said = held("abda", *changes, d="b")
    assert said.together[1] == said.together[2]
    assert not apart(said, 1, 2)
    assert apart(said, 1, 0)
    assert apart(said, 2, 3)


def test_some_of_the_texts_are_told_alone() -> None:
    said = held("abac", split("a", "b", 1)).only(np.array([1, 2]))
    assert said.together.tolist() == [0, -1]
    assert apart(said, 0, 1)


@pytest.mark.parametrize("distance", [0.0, 0.3, 2.0])
def test_a_replay_keeps_to_it_at_any_distance(distance: float) -> None:
    """Whatever the distance: 0 joins nothing, 2 everything."""
    rows = 40
    stored = ["a"] * rows
    for row in (3, 4, 9):
        stored[row] = "b"
    for row in (20, 31):
        stored[row] = "c"
    said = by_hand(
        stored, {"c": "a"}, np.arange(rows), [merge("a", "c", until=0), split("a", "b", 3, 4, 9)]
    )
    assert said is not None
    said.together[[20, 31]] = 7
    groups = replay(history(rows, said), distance).groups
    assert len(set(groups[[3, 4, 9]].tolist())) == 1
    assert groups[20] == groups[31]
    rest = np.setdiff1d(np.arange(rows), [3, 4, 9])
    assert not set(groups[[3, 4, 9]].tolist()) & set(groups[rest].tolist())
    free = replay(history(rows, None), distance).groups
    if distance == 0.0:
        assert len(set(groups.tolist())) == rows - 3
    elif distance == 2.0:
        assert len(set(groups.tolist())) == 2
        assert len(set(free.tolist())) == 1


def test_texts_that_nobody_judged_join_either_side() -> None:
    """Pairs of texts are nearly the same: the second of each came after the split."""
    firsts = np.array([0, 4, 1, 5, 2, 6, 3, 7])
    stored = ["a", "a", "b", "b", "a", "a", "a", "a"]
    said = by_hand(stored, {}, firsts, [split("a", "b", 2, until=3)])
    assert said is not None
    groups = replay(history(8, said), 0.2).groups
    assert groups[1] == groups[0]
    assert groups[3] == groups[2]
    assert replay(history(8, None), 0.2).groups.tolist() == groups.tolist()


def test_the_nearest_pattern_that_is_allowed_is_taken_not_a_new_one() -> None:
    said = held("acb", split("a", "b", 2, until=2), split("c", "d", said=False))
    free = history(3, None)
    stored = msgspec.structs.replace(
        free,
        vectors=free.vectors[[0, 2, 1]],
        by_hand=said,  # the last one is nearest to the first
    )
    groups = replay(stored, 2.0).groups
    assert groups[1] == 0, "it joins whatever is there"
    assert groups[2] == 2, "which is on the other side now"


def test_a_thousand_reviews_of_one_large_pattern_take_little_memory() -> None:
    texts = 20_000
    stored = ["a"] * texts
    changes = []
    for number in range(300):
        stored[number] = f"b{number}"
        changes.append(split("a", f"b{number}", number))
    said = by_hand(stored, {}, np.zeros(texts, dtype=np.int64), changes)
    assert said is not None
    assert len(said.sides) == 302, "free ones, each piece, and what is left"
    assert apart(said, 0, texts - 1)
    assert apart(said, 0, 299)
    assert not apart(said, texts - 2, texts - 1)
