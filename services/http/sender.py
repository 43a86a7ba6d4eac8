"""Who sends a request: what the guard found out about it, and what it may do."""

import msgspec
from starlette.requests import Request
from starlette.types import Scope as AsgiScope

from services.keys import Scope

_IN_SCOPE = "evalratchet.sender"  # of the ASGI scope, where the guard leaves it


class Sender(msgspec.Struct, frozen=True):
    """Whoever holds the key that came with a request; without keys, anybody.

    `project` is the only project the sender may name, and the one meant where none is named; None
    stands for any.
    """

    project: str | None = None
    scopes: frozenset[Scope] = frozenset({"ingest", "read", "review"})
    key_id: str | None = None

    def may_name(self, project: str) -> bool:
        """Whether the sender may send to, or ask about, a project."""
        return self.project is None or self.project == project


ANYBODY = Sender()
"""Who needs no key. Keys themselves are made by whoever has one of scope `admin`, or the CLI."""


def forbidden_project(sender: Sender, project: str) -> str | None:
    """Why the sender may not name a project; None when it may."""
    if sender.may_name(project):
        return None
    return (
        f"The API key is for the project {sender.project!r} and cannot send to {project[:80]!r}; "
        "use that project's key"
    )


def put_sender(scope: AsgiScope, sender: Sender) -> None:
    """Leave the sender where `sender_of` finds it."""
    scope[_IN_SCOPE] = sender


def sender_of(request: Request) -> Sender:
    """The sender of a request that the guard let through."""
    sender: Sender = request.scope.get(_IN_SCOPE, ANYBODY)
    return sender
