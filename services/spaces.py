"""Which embedding space serves a project: what its vectors were made with, until somebody switches.

The settings name an encoder and the policy the parts of the text, but neither takes effect by
being changed: vectors of two spaces are never compared, so a change of them would make every
failure a new pattern. `evalratchet dedup reembed` prepares the other space and switches.
"""

from collections.abc import Callable
from datetime import datetime

import structlog

from dedup.policy import TextPolicy
from dedup.text import text_version
from services.encoders import Encoders
from services.pattern_store import PatternStore, Serving

log = structlog.get_logger()

_BY = "evalratchet"
_FIRST = "the project's first failure"


def space_of(encoder: str, text: TextPolicy) -> str:
    """The name of the space of an encoder and a way to write the text."""
    return f"{encoder}/text-{text_version(text)}"


def text_of(space: str) -> str:
    """Which way to write the text a space has: equal for two spaces that embed the same texts."""
    return space.rpartition("/text-")[2]


def is_readable(serving: Serving) -> bool:
    """Whether this version writes texts as the space that serves has them.

    Another version wrote them otherwise, or they are from before spaces: what it would be compared
    with now are vectors of other texts.
    """
    return text_of(serving.space) == text_version(serving.text)


class Spaces:
    """Looks up which space serves, and makes the first one of a project."""

    def __init__(
        self, store: PatternStore, encoders: Encoders, *, clock: Callable[[], datetime]
    ) -> None:
        """Read from and write to `store`."""
        self._store = store
        self._encoders = encoders
        self._clock = clock
        self._said: set[tuple[str, str, str]] = set()

    async def first(self, project: str, text: TextPolicy) -> Serving:
        """The space that serves the project, made if there is none. Raises `Unavailable`."""
        async with self._store.locked(project) as store:
            serving = await store.serving()
            if serving is None:
                encoder = self._encoders.configured
                serving = Serving(
                    ordinal=1,
                    space=space_of(encoder, text),
                    encoder=encoder,
                    text=text,
                    by=_BY,
                    reason=_FIRST,
                    at=self._clock(),
                )
                await store.serve(serving)
        return serving

    def say_if_another(self, project: str, serving: Serving, text: TextPolicy) -> None:
        """Say, once, that settings or policy ask for another space than the one that serves."""
        wanted = space_of(self._encoders.configured, text)
        if wanted == serving.space or (project, serving.space, wanted) in self._said:
            return
        self._said.add((project, serving.space, wanted))
        log.warning(
            "another_space_is_configured",
            project=project,
            serves=serving.space,
            configured=wanted,
            meaning="nothing changes until the project is switched to it",
            run=f"evalratchet dedup reembed --project {project}",
        )
