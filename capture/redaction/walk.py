"""Goes through every text of a JSON value, into JSON that is kept as text too."""

from collections.abc import Callable
from typing import Any

import msgspec

Change = Callable[[str, str], str]
"""Given a text and the name it stands under, the text that takes its place (itself: no change)."""

ChangeNumber = Callable[[int | float, str], Any]

_DEEPEST = 6  # JSON in a text of JSON in a text ...; deeper it is looked at as text
_LARGEST_NAME = 256  # characters of a name that tells what stands under it


class Walk:
    """One way of changing every text of values. `at` is the path to the text in hand."""

    def __init__(
        self,
        change: Change,
        change_name: Change,
        change_number: ChangeNumber,
        *,
        skip: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """`change_name` is asked about keys of objects; texts to `skip` are not even decoded."""
        self._skip = skip
        self.at: list[str | int] = []
        self._change = change
        self._change_name = change_name
        self._change_number = change_number
        self._depth = 0

    def value(self, value: Any, name: str = "") -> Any:
        """The value after the changes; the same object where nothing changed."""
        if isinstance(value, str):
            return self.text(value, name)
        if isinstance(value, dict):
            return self._object(value)
        if isinstance(value, (list, tuple)):
            return self._array(value, name)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return self._change_number(value, name)
        return value

    def text(self, text: str, name: str = "") -> str:
        """The text after the changes; of JSON, its texts. Only what changed is written anew."""
        if self._skip(text):
            return text
        if len(text) > 1 and text[0] in '{["' and self._depth < _DEEPEST:
            try:
                inner = msgspec.json.decode(text)
            except (msgspec.DecodeError, UnicodeError, RecursionError):
                inner = None
            if isinstance(inner, (dict, list, str)):
                self._depth += 1
                try:
                    changed = self.value(inner, name)
                    return text if changed is inner else msgspec.json.encode(changed).decode()
                except RecursionError:
                    pass  # hundreds of levels: looked at as text
                finally:
                    self._depth -= 1
        return self._change(text, name)

    def under(self, step: str | int, value: Any, name: str = "") -> Any:
        """`value`, for what stands at `step` of what is in hand."""
        self.at.append(step)
        try:
            return self.value(value, name)
        finally:
            self.at.pop()

    def _object(self, value: dict[Any, Any]) -> dict[Any, Any]:
        changed = False
        result: dict[Any, Any] = {}
        for key, inner in value.items():
            named = isinstance(key, str)
            name = self._change_name(key, "") if named else key
            if isinstance(inner, str) and self._skip(inner):
                after: Any = inner  # without a step on the path: most values are such texts
            else:
                after = self.under(str(key), inner, key[:_LARGEST_NAME] if named else "")
            changed = changed or name is not key or after is not inner
            result[name] = after
        return result if changed else value

    def _array(self, value: "list[Any] | tuple[Any, ...]", name: str) -> Any:
        after = [self.under(index, inner, name) for index, inner in enumerate(value)]
        if all(new is old for new, old in zip(after, value, strict=True)):
            return value
        return after if isinstance(value, list) else tuple(after)
