"""`docs/settings.md` says what `services/settings.py` says."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from services.settings import CONFIG_VARIABLE, PREFIX, Settings

Rows = Callable[[str], list[list[str]]]


def _default(field: FieldInfo) -> str:
    default: Any = field.default
    if isinstance(default, SecretStr):
        default = default.get_secret_value()
    if default is None:
        return "not set"
    return "empty" if default == "" else f"`{default}`"


def _bounds(field: FieldInfo) -> set[float]:
    kinds = ("ge", "gt", "le", "lt")
    return {
        float(getattr(rule, kind))
        for rule in field.metadata
        for kind in kinds
        if getattr(rule, kind, None) is not None
    }


@pytest.fixture
def documented(root: Path, table_rows: Rows) -> dict[str, list[str]]:
    """The rows of the page about settings, by variable."""
    rows = table_rows((root / "docs/settings.md").read_text(encoding="utf-8"))
    return {row[0].strip("`"): row for row in rows if row[0].startswith(f"`{PREFIX}")}


def test_every_setting_is_documented_and_nothing_else_is(documented: dict[str, list[str]]) -> None:
    assert list(documented) == [PREFIX + name.upper() for name in Settings.model_fields]


@pytest.mark.parametrize("name", list(Settings.model_fields))
def test_a_setting_is_documented_with_its_default(
    documented: dict[str, list[str]], name: str
) -> None:
    assert documented[PREFIX + name.upper()][1] == _default(Settings.model_fields[name])


@pytest.mark.parametrize("name", list(Settings.model_fields))
def test_a_setting_is_documented_with_its_bounds(
    documented: dict[str, list[str]], name: str
) -> None:
    said = documented[PREFIX + name.upper()][2]
    numbers = {float(number) for number in re.findall(r"\d+(?:\.\d+)?", said)}
    assert _bounds(Settings.model_fields[name]) <= numbers


def test_the_file_that_holds_settings_is_documented(root: Path) -> None:
    assert f"`{CONFIG_VARIABLE}`" in (root / "docs/settings.md").read_text(encoding="utf-8")
