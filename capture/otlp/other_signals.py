"""The other signals of OTLP, which are not for us."""

from typing import Literal


class NotTraces(ValueError):
    """A request of another OTLP signal, posted to the traces path."""

    def __init__(self, kind: Literal["logs", "metrics", "profiles"]) -> None:
        """Say what was sent and where it belongs."""
        super().__init__(
            f"This is an OTLP {kind} request, and this path takes traces. evalratchet keeps no "
            f"{kind}: point the exporter of your {kind} at your {kind} backend's /v1/{kind}, and "
            "only the trace exporter here (OTEL_EXPORTER_OTLP_TRACES_ENDPOINT)."
        )
        self.kind = kind
