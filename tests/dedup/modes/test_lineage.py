from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from dedup.modes.lineage import Lineage, lineage


def _after(before: Mapping[str, str], now: Mapping[str, int], refit: int = 2) -> Lineage:
    return lineage(list(now), list(now.values()), before, project="shop", refit=refit)


def _of(mode: str, patterns: str) -> dict[str, str]:
    return dict.fromkeys(patterns, mode)


def test_the_first_modes_get_ids_of_their_own() -> None:
    found = _after({}, {"a": 0, "b": 0, "c": 1, "d": -1})
    assert len(set(found.ids)) == 2
    assert found.parents == {found.ids[0]: [], found.ids[1]: []}
    assert (found.kept, found.gone, found.absorbed) == (0, [], {})


def test_a_mode_keeps_its_id_while_it_keeps_its_patterns() -> None:
    before = _of("x", "abcd") | _of("y", "efgh")
    now = dict.fromkeys("efgh1234", 0) | dict.fromkeys("abc", 1) | {"d": -1}
    found = _after(before, now)
    assert found.ids == ["y", "x"]
    assert (found.kept, found.parents, found.gone) == (2, {}, [])


def test_of_a_mode_that_splits_the_larger_part_keeps_the_id() -> None:
    found = _after(_of("x", "abcdefg"), dict.fromkeys("ab", 0) | dict.fromkeys("cdefg", 1))
    assert found.ids[1] == "x"
    assert found.parents == {found.ids[0]: ["x"]}
    assert found.gone == []


def test_of_modes_that_become_one_the_larger_lives_on() -> None:
    before = _of("x", "abcde") | _of("y", "fgh")
    found = _after(before, dict.fromkeys("abcdefgh", 0))
    assert found.ids == ["x"]
    assert found.absorbed == {"x": ["y"]}
    assert found.gone == ["y"]


def test_a_mode_that_dissolves_is_gone() -> None:
    found = _after(_of("x", "abcd"), dict.fromkeys("abcd", -1))
    assert (found.ids, found.gone) == ([], ["x"])


def test_new_patterns_take_no_id_away() -> None:
    now = dict.fromkeys("abcd", 0) | {f"new{n}": 0 for n in range(100)}
    assert _after(_of("x", "abcd"), now).ids == ["x"]


_NAMES = st.dictionaries(st.text("abcdefghij", min_size=1, max_size=2), st.sampled_from("xyz"))


@given(
    before=_NAMES, labels=st.lists(st.integers(-1, 3), min_size=1, max_size=30), seed=st.integers()
)
def test_ids_are_never_given_twice_and_former_ones_are_kept_or_gone(
    before: dict[str, str], labels: list[int], seed: int
) -> None:
    order = {label: n for n, label in enumerate(sorted({one for one in labels if one >= 0}))}
    patterns = (list(before) + [f"n{n}" for n in range(30)])[: len(labels)]
    now = {one: order.get(label, -1) for one, label in zip(patterns, labels, strict=False)}
    count = max(now.values(), default=-1) + 1
    if set(now.values()) - {-1} != set(range(count)):
        return  # labels have no gaps
    found = _after(before, now)
    assert len(set(found.ids)) == len(found.ids) == count
    former = {one for one in found.ids if one in set(before.values())}
    assert former | set(found.gone) == set(before.values())
    assert not former & set(found.gone)
