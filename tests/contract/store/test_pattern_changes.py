"""`services.pattern_store.PatternChanges`: merging, splitting, and what follows."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from recording import SPACE, Recording, candidate, first, joins
from sqlalchemy import text

from services.pattern_changes import NotPossible, PatternChange
from services.store.open import Store

At = Callable[[float], datetime]
X, Y = (1, 0, 0, 0), (0, 1, 0, 0)


@pytest.fixture
def shop(store: Store, at: At) -> Recording:
    return Recording(store, at)


async def merge(shop: Recording, into: str, *merged: str) -> PatternChange:
    return await shop.store.changes.merge(
        shop.project, into, merged, by="ada", reason="one failure", at=shop.at(100)
    )


async def split(shop: Recording, pattern_id: str, *events: str) -> PatternChange:
    return await shop.store.changes.split(
        shop.project, pattern_id, events, by="ada", reason="two failures", at=shop.at(100)
    )


async def undo(shop: Recording, change: PatternChange) -> PatternChange:
    return await shop.store.changes.undo(
        shop.project, change.change_id, by="bob", reason="was wrong", at=shop.at(101)
    )


async def labels(shop: Recording) -> list[tuple[str, str, str, str]]:
    database: Any = shop.store.changes._database
    asked = text("SELECT first, second, verdict, source FROM pair_label ORDER BY 1, 2")
    found: list[tuple[str, str, str, str]] = await database.read(
        lambda connection: [tuple(row) for row in connection.execute(asked)]
    )
    return found


async def two_patterns(shop: Recording) -> tuple[str, str]:
    """p-a with two failures of two texts, p-b with one of another."""
    a = await shop.fail("a", "late", vector=X)
    await shop.fail("a2", "too late", into=a, vector=X)
    b = await shop.fail("b", "lost", vector=Y)
    return a, b


async def test_merged_patterns_are_one_everywhere(shop: Recording) -> None:
    a, b = await two_patterns(shop)
    change = await merge(shop, a, b)
    assert (change.kind, change.by, change.reason) == ("merge", "ada", "one failure")
    assert change.detail == {"into": a, "merged": [b], "counts": {a: 2, b: 1}}
    assert await shop.patterns() == {a: 3}
    assert await shop.members() == {"a": a, "a2": a, "b": a}
    assert await shop.centroids() == {a: ([2, 1, 0, 0], 3)}
    (row,) = await shop.store.reader.patterns(project="shop", limit=9)
    assert (row.first_failed_at, row.last_failed_at) == (shop.at(1), shop.at(3))
    assert (await shop.store.reader.totals("shop")).patterns == 1
    async with shop.store.patterns.locked("shop") as writer:
        assert (await writer.decisions(["b"]))["b"].pattern_id == a
        assert (await writer.fingerprints(["lost"]))["lost"].pattern_id == a
        assert await writer.centroids(SPACE, [b]) == {}
        changed = await writer.centroids_after(SPACE, 3, limit=9)
        assert [(one.pattern_id, one.count) for one in changed] == [(b, 0), (a, 3)]


async def test_the_id_of_a_merged_pattern_means_what_it_is_part_of(shop: Recording) -> None:
    a, b = await two_patterns(shop)
    c = await shop.fail("c", "broken")
    await merge(shop, b, c)
    await merge(shop, a, b)
    for pattern_id in (a, b, c):
        (row,) = await shop.store.reader.pattern(pattern_id)
        assert (row.pattern_id, row.occurrences) == (a, 4)
        members = await shop.store.reader.members(project="shop", pattern_id=pattern_id, limit=None)
        assert [one.trace_id for one in members] == [f"trace of {e}" for e in ("a", "a2", "b", "c")]
    assert [row.pattern_id for row in await shop.store.reader.pattern("p-")] == [a]
    with pytest.raises(NotPossible, match="one pattern already: p-a"):
        await merge(shop, c, b)


async def test_failures_after_a_merge_count_to_the_root(shop: Recording) -> None:
    a, b = await two_patterns(shop)
    await merge(shop, a, b)
    assert await shop.fail("b2", "lost") == a
    assert await shop.patterns() == {a: 4}
    assert (await shop.cases())[a] == ("a", 4)


async def test_a_decision_made_on_a_merged_pattern_counts_to_its_root(
    shop: Recording, at: At
) -> None:
    """An index that had not caught up may still name it."""
    a, b = await two_patterns(shop)
    await merge(shop, a, b)
    async with shop.store.patterns.locked("shop") as writer:
        await writer.keep(kept_of(joins(candidate(at, "late"), b, vector=Y)))
    assert await shop.patterns() == {a: 4}
    assert (await shop.members())["late"] == a


def kept_of(*decided: Any) -> Any:
    from services.pattern_store import Kept  # noqa: PLC0415 - one test's

    return Kept(space=SPACE, decided=decided)


async def test_the_targets_case_stays_and_the_other_is_superseded_not_lost(
    shop: Recording,
) -> None:
    a, b = await two_patterns(shop)
    change = await merge(shop, b, a)
    assert await shop.cases() == {b: ("b", 3)}, "the target's, though the other is older"
    (other,) = await shop.store.reader.case(f"case-{a}")
    assert (other.superseded_by, other.case.pattern_id) == (change.change_id, b)
    assert (await shop.store.reader.totals("shop")).cases == 1
    await undo(shop, change)
    assert await shop.cases() == {a: ("a", 2), b: ("b", 1)}


async def test_a_target_without_a_case_has_the_merged_patterns(shop: Recording) -> None:
    a = await shop.fail("a", "late", promoted=False)
    b = await shop.fail("b", "lost")
    change = await merge(shop, a, b)
    assert await shop.cases() == {a: ("b", 1)}
    await shop.promote(first(candidate(shop.at, "a", fingerprint="late")))
    assert await shop.cases() == {a: ("b", 2)}
    await undo(shop, change)
    assert await shop.cases() == {b: ("b", 1)}
    await shop.fail("a2", "late")
    assert await shop.cases() == {a: ("a2", 2), b: ("b", 1)}


async def test_messages_in_flight_may_name_a_merged_pattern(shop: Recording) -> None:
    """They were decided before the merge, and are graded and promoted after it."""
    a = await shop.fail("a", "late")
    b = await shop.fail("b", "lost", promoted=False)
    await merge(shop, a, b)
    decided = first(candidate(shop.at, "b", fingerprint="lost"))
    assert decided.assignment.pattern_id == b
    await shop.promote(decided)
    await shop.promote(decided)
    assert await shop.cases() == {a: ("a", 2)}


async def test_patterns_of_different_guards_are_never_merged(shop: Recording) -> None:
    a = await shop.fail("a", "late", guard="model|refund")
    b = await shop.fail("b", "lost", guard="model|find_order")
    with pytest.raises(NotPossible, match=r"'model\|refund'.*'model\|find_order'"):
        await merge(shop, a, b)
    with pytest.raises(NotPossible, match="no pattern nothing"):
        await merge(shop, a, "nothing")
    assert await shop.patterns() == {a: 1, b: 1}
    assert await shop.store.changes.history("shop", limit=9) == []


async def test_a_split_takes_occurrences_with_the_same_text_along(shop: Recording) -> None:
    a, _ = await two_patterns(shop)
    await shop.fail("a3", "too late")
    change = await split(shop, a, "a2")
    made = change.detail["to"]
    assert (change.detail["from"], change.detail["events"]) == (a, ["a2", "a3"])
    assert await shop.patterns() == {made: 2, a: 1, "p-b": 1}
    assert await shop.members() == {"a": a, "a2": made, "a3": made, "b": "p-b"}
    assert (await shop.centroids())[a] == ([1, 0, 0, 0], 1)
    assert (await shop.centroids())[made] == ([1, 0, 0, 0], 1)
    (row,) = await shop.store.reader.pattern(made)
    assert (row.text, row.fault) == ("text too late", "model")
    assert (row.first_failed_at, row.last_failed_at) == (shop.at(2), shop.at(4))
    assert await shop.fail("a4", "too late") == made


async def test_a_case_goes_with_the_failure_it_was_made_of(shop: Recording) -> None:
    a, _ = await two_patterns(shop)
    change = await split(shop, a, "a")
    made = change.detail["to"]
    assert await shop.cases() == {made: ("a", 1), "p-b": ("b", 1)}
    (rest,) = await shop.store.reader.pattern(a)
    assert (rest.text, rest.occurrences) == ("text too late", 1), "it has a representative again"
    await shop.fail("a3", "too late")
    cases = await shop.cases()
    assert cases[a] == ("a3", 2), "the next failure makes its case"
    await undo(shop, change)
    assert await shop.cases() == {a: ("a", 3), "p-b": ("b", 1)}
    (whole,) = await shop.store.reader.pattern(made)
    assert (whole.pattern_id, whole.text, whole.occurrences) == (a, "text late", 3)


async def test_messages_in_flight_follow_a_split(shop: Recording) -> None:
    a = await shop.fail("a", "late")
    await shop.fail("a2", "too late", into=a, promoted=False)
    change = await split(shop, a, "a2")
    await shop.promote(joins(candidate(shop.at, "a2", fingerprint="too late"), a))
    made = change.detail["to"]
    assert await shop.cases() == {a: ("a", 1), made: ("a2", 1)}


async def test_a_split_must_leave_something_and_name_what_is_there(shop: Recording) -> None:
    a, b = await two_patterns(shop)
    await shop.fail("b2", "lost")
    for pattern_id, events, why in (
        (b, ["b"], "Nothing would be left of pattern p-b"),
        (a, ["a", "a2"], "Nothing would be left"),
        (a, ["b"], "Pattern p-a has no occurrence b"),
        (a, [], "No occurrence of pattern p-a was named"),
        ("nothing", ["a"], "no pattern nothing"),
    ):
        with pytest.raises(NotPossible, match=why):
            await split(shop, pattern_id, *events)
    assert await shop.patterns() == {a: 2, b: 2}


async def test_what_was_merged_can_be_split_off_by_its_old_id(shop: Recording) -> None:
    a, b = await two_patterns(shop)
    await merge(shop, a, b)
    change = await split(shop, b, "b")
    made = change.detail["to"]
    assert await shop.members() == {"a": a, "a2": a, "b": made}
    assert (await shop.centroids())[made] == ([0, 1, 0, 0], 1)
    assert (await shop.centroids())[a] == ([2, 0, 0, 0], 2)
    assert await shop.cases() == {a: ("a", 2), made: ("b", 1)}


async def test_a_change_that_others_build_on_is_undone_after_them(shop: Recording) -> None:
    a, b = await two_patterns(shop)
    merged = await merge(shop, a, b)
    off = await split(shop, a, "b")
    with pytest.raises(NotPossible, match=f"build on change {merged.change_id}.*{off.change_id}"):
        await undo(shop, merged)
    taken_back = await undo(shop, off)
    await undo(shop, merged)
    assert await shop.patterns() == {a: 2, b: 1}
    with pytest.raises(NotPossible, match="was undone before"):
        await undo(shop, merged)
    with pytest.raises(NotPossible, match="is an undo itself"):
        await undo(shop, taken_back)
    with pytest.raises(NotPossible, match="has no change 'nothing'"):
        await shop.store.changes.undo("shop", "nothing", by="a", reason="b", at=shop.at(0))


async def test_undoing_a_merge_gives_back_what_has_the_merged_text(shop: Recording) -> None:
    """What came since with a text of the merged pattern goes to it, new texts stay with the root."""
    a, b = await two_patterns(shop)
    change = await merge(shop, a, b)
    await shop.fail("b2", "lost")
    await shop.fail("new", "never came", into=a, vector=Y)
    await undo(shop, change)
    assert await shop.patterns() == {a: 3, b: 2}
    assert (await shop.members())["b2"] == b
    assert await shop.centroids() == {a: ([2, 1, 0, 0], 3), b: ([0, 1, 0, 0], 1)}
    assert await shop.cases() == {a: ("a", 3), b: ("b", 2)}


async def test_undoing_a_split_takes_along_what_joined_it_since(shop: Recording) -> None:
    a, _ = await two_patterns(shop)
    change = await split(shop, a, "a2")
    made = change.detail["to"]
    await shop.fail("a3", "later", into=made, vector=Y)
    await undo(shop, change)
    assert (await shop.patterns())[a] == 3
    assert (await shop.centroids())[a] == ([2, 1, 0, 0], 3)
    assert await shop.fail("a4", "later") == a
    (row,) = await shop.store.reader.pattern(made)
    assert row.pattern_id == a


async def test_changes_say_what_a_reviewer_thinks_of_pairs(shop: Recording) -> None:
    a, b = await two_patterns(shop)
    merged = await merge(shop, a, b)
    assert await labels(shop) == [("late", "lost", "same", "merge")]
    off = await split(shop, a, "b")
    assert await labels(shop) == [("late", "lost", "different", "split")]
    await undo(shop, off)
    assert await labels(shop) == [("late", "lost", "same", "merge")]
    await undo(shop, merged)
    assert await labels(shop) == []


async def test_every_change_is_written_down(shop: Recording) -> None:
    a, b = await two_patterns(shop)
    change = await merge(shop, a, b)
    back = await undo(shop, change)
    last, before = await shop.store.changes.history("shop", limit=9)
    assert last == back
    assert (last.kind, last.by, last.reason, last.at) == ("undo", "bob", "was wrong", shop.at(101))
    assert last.detail == {"of": change.change_id, "kind": "merge", "patterns": [a, b]}
    assert (before.change_id, before.undone_by) == (change.change_id, last.change_id)
    assert len(await shop.store.changes.history("shop", limit=1)) == 1
    assert await shop.store.changes.history(None, limit=9) == [last, before]
    assert await shop.store.changes.history("bank", limit=9) == []


async def test_two_reviewers_at_once_merge_once(
    shop: Recording, another_store: Callable[[], Store]
) -> None:
    a, b = await two_patterns(shop)
    other = Recording(another_store(), shop.at)
    results = await asyncio.gather(merge(shop, a, b), merge(other, b, a), return_exceptions=True)
    assert sorted(type(one).__name__ for one in results) == ["NotPossible", "PatternChange"]
    assert sum((await shop.patterns()).values()) == 3
    assert len(await shop.patterns()) == 1


async def test_projects_are_changed_apart(shop: Recording, store: Store, at: At) -> None:
    bank = Recording(store, at, "bank")
    a, b = await two_patterns(shop)
    await two_patterns(bank)
    await merge(shop, a, b)
    assert await bank.patterns() == {a: 2, b: 1}
    assert await bank.cases() == {a: ("a", 2), b: ("b", 1)}
    (row,) = [one for one in await store.reader.pattern(b) if one.project == "bank"]
    assert row.pattern_id == b


async def name(shop: Recording, pattern_id: str, called: str | None) -> PatternChange:
    return await shop.store.changes.name(
        shop.project, pattern_id, called, by="ada", reason="triage", at=shop.at(100)
    )


async def names(shop: Recording) -> dict[str, str | None]:
    rows = await shop.store.reader.patterns(project=shop.project, limit=9)
    return {row.pattern_id: row.name for row in rows}


async def test_a_pattern_is_named_and_renamed_and_its_name_is_taken_away(shop: Recording) -> None:
    a, b = await two_patterns(shop)
    first = await name(shop, a, "  late\nparcels ")
    assert (first.kind, first.by, first.reason) == ("name", "ada", "triage")
    assert first.detail == {"pattern": a, "name": "late parcels", "before": None}
    assert await names(shop) == {a: "late parcels", b: None}
    assert await shop.store.knob.called("shop", [a, b]) == {a: "late parcels"}
    second = await name(shop, a, "slow parcels")
    assert second.detail["before"] == "late parcels"
    third = await name(shop, a, None)
    assert await names(shop) == {a: None, b: None}
    for change, left in ((third, "slow parcels"), (second, "late parcels"), (first, None)):
        undone = await undo(shop, change)
        assert undone.detail == {"of": change.change_id, "kind": "name", "patterns": [a]}
        assert await names(shop) == {a: left, b: None}
    told = await shop.store.changes.history("shop", limit=9)
    assert [one.kind for one in told] == ["undo"] * 3 + ["name"] * 3


@pytest.mark.parametrize(
    ("pattern", "called", "said"),
    [
        ("p-a", "late", "has the name 'late' already"),
        ("p-b", None, "has no name already"),
        ("p-b", " \n ", "at least one letter"),
        ("p-b", "x" * 121, "at most 120 characters, this one has 121"),
        ("p-b", "a\x00b", r"can be seen, and this one has '\\x00'"),
        ("p-b", "\x1b[31mred", r"can be seen, and this one has '\\x1b'"),
        ("p-b", "\u202eeltit", r"can be seen, and this one has '\\u202e'"),
        ("p-b", "\u200d", "at least one letter"),
        ("p-z", "late", "no pattern p-z"),
    ],
)
async def test_what_is_no_new_name_is_refused(
    shop: Recording, pattern: str, called: str | None, said: str
) -> None:
    await two_patterns(shop)
    await name(shop, "p-a", "late")
    with pytest.raises(NotPossible, match=said):
        await name(shop, pattern, called)
    assert await names(shop) == {"p-a": "late", "p-b": None}
    assert len(await shop.store.changes.history("shop", limit=9)) == 1


async def test_names_follow_merges_and_an_old_id_names_what_it_is_part_of(shop: Recording) -> None:
    a, b = await two_patterns(shop)
    await name(shop, b, "lost")
    merge_change = await merge(shop, a, b)
    assert await names(shop) == {a: "lost"}, "a pattern without a name gets that of the other"
    renamed = await name(shop, b, "gone")
    assert renamed.detail["pattern"] == a
    assert await names(shop) == {a: "gone"}
    with pytest.raises(NotPossible, match=renamed.change_id):
        await undo(shop, merge_change)
    await undo(shop, renamed)
    await undo(shop, merge_change)
    assert await names(shop) == {a: None, b: "lost"}
    await name(shop, a, "late")
    await merge(shop, a, b)
    assert await names(shop) == {a: "late"}, "of two names the target's stays"


async def test_a_name_that_a_merge_took_along_is_not_undone_before_it(shop: Recording) -> None:
    a, b = await two_patterns(shop)
    named = await name(shop, b, "lost")
    merged = await merge(shop, a, b)
    with pytest.raises(NotPossible, match=merged.change_id):
        await undo(shop, named)
    await undo(shop, merged)
    await undo(shop, named)
    assert await names(shop) == {a: None, b: None}


async def test_undoing_a_merge_leaves_a_name_of_before_that_came_back_meanwhile(
    shop: Recording,
) -> None:
    a, b = await two_patterns(shop)
    await name(shop, a, "late")
    cleared = await name(shop, a, None)
    await name(shop, b, "lost")
    merged = await merge(shop, a, b)
    assert await names(shop) == {a: "lost"}
    await undo(shop, cleared)
    await undo(shop, merged)
    assert await names(shop) == {a: "late", b: "lost"}


async def test_a_word_may_need_a_joiner(shop: Recording) -> None:
    a, _ = await two_patterns(shop)
    await name(shop, a, "\u0646\u0645\u06cc\u200c\u0634\u0648\u062f")
    assert (await names(shop))[a] == "\u0646\u0645\u06cc\u200c\u0634\u0648\u062f"


async def test_a_split_leaves_the_name_where_it_was(shop: Recording) -> None:
    a, _ = await two_patterns(shop)
    named = await name(shop, a, "late")
    change = await split(shop, a, "a2")
    made = change.detail["to"]
    assert (await names(shop))[made] is None
    mine = await name(shop, made, "too late")
    with pytest.raises(NotPossible, match=mine.change_id):
        await undo(shop, change)
    await undo(shop, named)
    await undo(shop, mine)
    await undo(shop, change)
    assert (await names(shop))[a] is None


async def test_a_name_says_nothing_about_the_distance(shop: Recording) -> None:
    a, _ = await two_patterns(shop)
    await name(shop, a, "late")
    assert await labels(shop) == []
