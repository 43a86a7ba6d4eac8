"""What can be wrong with a whole OTLP request; a bad span only takes itself out."""

from typing import Literal


class Malformed(ValueError):  # noqa: N818 - reads as what it says of the request
    """The bytes are not the OTLP request they claim to be; the message says where."""


class NotTraces(ValueError):  # noqa: N818 - the same
    """A request of another OTLP signal, posted to the traces path."""

    def __init__(self, kind: Literal["logs", "metrics", "profiles"]) -> None:
        """Say what was sent and where it belongs."""
        super().__init__(
            f"This is an OTLP {kind} request, and this path takes traces. evalratchet keeps no "
            f"{kind}: point the exporter of your {kind} at your {kind} backend's /v1/{kind}, and "
            "only the trace exporter here (OTEL_EXPORTER_OTLP_TRACES_ENDPOINT)."
        )
        self.kind = kind
