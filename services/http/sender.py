"""Who sends a request: what the guard found out about it, and what it may do."""

from typing import Literal

import msgspec
from starlette.requests import Request

Scope = Literal[
    "ingest",  # post traces, logs and feedback
    "read",  # read patterns, cases and state
    "review",  # decide about cases
    "admin",  # keys and policy
]

_IN_SCOPE = "evalratchet.sender"  # of the ASGI scope, where the guard leaves it


class Sender(msgspec.Struct, frozen=True):
    """Whoever holds the key that came with a request; without keys, anybody.

    `project` is the only project the sender may name, and the one meant where none is named; None
    stands for any.
    """

    project: str | None = None
    scopes: frozenset[Scope] = frozenset({"ingest", "read", "review", "admin"})
    key_id: str | None = None


ANYBODY = Sender()


def sender_of(request: Request) -> Sender:
    """The sender of a request that the guard let through."""
    sender: Sender = request.scope.get(_IN_SCOPE, ANYBODY)
    return sender
