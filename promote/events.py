"""The event promote emits: a case was made, on `cases`."""

import msgspec

from promote.case import Case


class CasePromoted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A new case is in the eval store. Schema `case/1`, topic `cases`."""

    event_id: str
    case: Case

    @property
    def project(self) -> str:
        """The case's project."""
        return self.case.project

    @property
    def trace_id(self) -> str:
        """The trace the case was made from."""
        return self.case.provenance.trace_id
