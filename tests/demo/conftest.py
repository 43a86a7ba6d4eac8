"""The demo lives outside the packages: it is put on the path as its script would do."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from capture.trace import Trace

DEMO = Path(__file__).resolve().parents[2] / "deploy" / "demo"
sys.path.insert(0, str(DEMO))

if TYPE_CHECKING:
    from supportdesk.desk import Recorded


@pytest.fixture(scope="session")
def demo() -> Path:
    """The demo's folder."""
    return DEMO


@pytest.fixture(scope="session")
def recorded() -> "Sequence[Recorded]":
    """Four rounds of every question, so that each wording meets several orders and products."""
    from supportdesk.desk import DEFAULT_COUNT, record  # noqa: PLC0415 the path is set above

    return list(record(amount=4 * DEFAULT_COUNT))


@pytest.fixture(scope="session")
def labelled(recorded: "Sequence[Recorded]") -> list[tuple[Trace, str | None]]:
    """The same as evalratchet reads them, each with the defect it meets."""
    return [
        (msgspec.json.decode(msgspec.json.encode(r.trace), type=Trace), r.meets) for r in recorded
    ]
