"""What tests about the documentation share."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root."""
    return ROOT


@pytest.fixture(scope="session")
def pages() -> Sequence[Path]:
    """Every Markdown page of the project."""
    folders = [ROOT / "docs", ROOT / "deploy", ROOT / "benchmarks", ROOT / "tests"]
    found = [page for folder in folders for page in sorted(folder.rglob("*.md"))]
    return [*sorted(ROOT.glob("*.md")), *found]


@pytest.fixture(scope="session")
def table_rows() -> Callable[[str], list[list[str]]]:
    """Reads the rows of all tables in a Markdown text, as lists of cells; headers are left out."""

    def rows(text: str) -> list[list[str]]:
        found: list[list[str]] = []
        for line in text.splitlines():
            if not line.startswith("|"):
                continue
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            if all(set(cell) <= set("-: ") for cell in cells):
                found.pop()  # what came before the rule is the header
            else:
                found.append(cells)
        return found

    return rows
