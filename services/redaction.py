"""Redaction at the edge: what a project's policy calls personal or secret never reaches the stream."""

from collections.abc import Sequence

from capture.events import Piece


class Redaction:
    """Redacts pieces by the policy of their project."""

    async def redact(self, pieces: Sequence[Piece]) -> Sequence[Piece]:
        """The pieces, in order, without what the policy says must go. Raises `Unavailable`."""
        return pieces
