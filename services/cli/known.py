"""Names a user may have mistyped."""

from difflib import get_close_matches

from services.cli.problem import misused, refuse
from services.store.open import Store


async def check_project(store: Store, project: str | None) -> None:
    """Raise a `Problem` that names the projects there are, when this is none of them."""
    if project is None:
        return
    known = list(await store.reader.projects())
    if project in known:
        return
    near = get_close_matches(project, known, n=1)
    meant = f"Did you mean {near[0]}? " if near else ""
    there = ", ".join(known[:20]) or "none yet"
    refuse(f"Nothing came from a project named {project!r}.", f"{meant}There are: {there}")


def check_beginning(text: str, what: str) -> None:
    """Raise a `Problem` when this is no beginning of an id: every id begins with nothing."""
    if not text.strip():
        misused(
            f"Say which {what}: its id, or enough of its beginning.",
            f"See `evalratchet {what}s list`.",
        )
