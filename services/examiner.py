"""Asks all scorers of a policy about a trace."""

from capture.policy import ScoringPolicy
from capture.scorers import Examination, examine
from capture.trace import Trace


class ScorerExaminer:
    """Asks scorers that only think, here and now."""

    async def examine(self, trace: Trace, policy: ScoringPolicy) -> Examination:
        """What every scorer said of the trace."""
        return examine(trace, policy)
