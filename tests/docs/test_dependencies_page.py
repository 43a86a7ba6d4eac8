"""`docs/dependencies.md` gives a reason for every direct dependency, and for no other."""

import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

Rows = Callable[[str], list[list[str]]]


def _name(requirement: str) -> str:
    matched = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert matched, requirement
    return re.sub(r"[-_.]+", "-", matched[0]).lower()


def _section(text: str, title: str) -> str:
    return text.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]


@pytest.fixture
def page(root: Path) -> str:
    """The page's text."""
    return (root / "docs/dependencies.md").read_text(encoding="utf-8")


@pytest.fixture
def declared(root: Path) -> dict[str, list[str]]:
    """The direct dependencies of `pyproject.toml`, by the page's section."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    return {
        "To run": [_name(one) for one in project["project"]["dependencies"]],
        "To develop": [_name(one) for one in project["dependency-groups"]["dev"]],
    }


@pytest.mark.parametrize("section", ["To run", "To develop"])
def test_every_direct_dependency_has_its_reason(
    page: str, declared: dict[str, list[str]], table_rows: Rows, section: str
) -> None:
    rows = table_rows(_section(page, section))
    explained = [_name(name.strip("` ")) for row in rows for name in row[0].split(",")]
    assert sorted(explained) == sorted(declared[section])
    assert all(row[1] for row in rows)
