"""The other signals of OTLP, on the path for traces."""

from typing import Literal


class NotTraces(ValueError):
    """A request of another OTLP signal, posted to the traces path."""

    def __init__(self, kind: Literal["logs", "metrics", "profiles"]) -> None:
        """Say what was sent and where it belongs."""
        where = (
            "point the exporter of your logs at /v1/logs here, which takes GenAI events "
            "(evaluations, feedback, messages) and no other logs, or at your logs backend"
            if kind == "logs"
            else f"evalratchet keeps no {kind}: point the exporter of your {kind} at your {kind} "
            f"backend's /v1/{kind}"
        )
        super().__init__(
            f"This is an OTLP {kind} request, and this path takes traces: {where}, and only the "
            "trace exporter here (OTEL_EXPORTER_OTLP_TRACES_ENDPOINT)."
        )
        self.kind = kind
