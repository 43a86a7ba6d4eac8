from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.shape import shape_of


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (None, "nothing"),
        ("", "nothing"),
        ({}, "{}"),
        ({"order_id": "W1", "items": [1, 2.5]}, "{items: [number], order_id: text}"),
        ('{"b": null, "a": true}', "{a: bool, b: null}"),
        ({"a": [1, "x", {}]}, "{a: [number | text | {}]}"),
        ({"a": {"b": {"c": {"d": 1}}}}, "{a: {b: {c: {…}}}}"),
        ({"a": ""}, "{a: empty text}"),
        ({"user_12345": 1, "user_67890": 2}, "{user_#: number}"),
        ("not { json", "text that is not JSON"),
        ('"\ud800"', "text"),
        ("[" * 5000, "text that is not JSON"),
    ],
)
def test_the_shape_has_keys_and_types_and_no_values(arguments: Any, expected: str) -> None:
    assert shape_of(arguments) == expected


def test_a_missing_key_or_another_type_is_another_shape() -> None:
    shapes = {shape_of(one) for one in ({"id": 1}, {"id": "1"}, {}, {"id": 1, "why": "x"})}
    assert len(shapes) == 4


def test_many_keys_and_long_ones_are_bounded() -> None:
    assert len(shape_of({f"{'k' * 100}{chr(97 + n % 26)}{n}": n for n in range(5000)})) <= 400


_json: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@settings(deadline=None)
@given(_json)
def test_any_json_has_a_shape_that_is_short(value: Any) -> None:
    assert len(shape_of(value)) <= 400
