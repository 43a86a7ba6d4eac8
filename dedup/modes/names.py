"""What a mode is called."""

from collections.abc import Sequence

TEXTS = 40
"""So many texts of a mode are read for its terms."""
_IN_NAME = 3


def name_of(terms: Sequence[str]) -> str:
    """A short name from the most telling terms; of a mode without words, that."""
    return ", ".join(terms[:_IN_NAME]) or "(no words)"
