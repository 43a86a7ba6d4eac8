"""Everything that decides, loaded once a process."""

from collections.abc import Callable

import msgspec

from capture.redaction import presidio, secrets


class Recognisers(msgspec.Struct, frozen=True):
    """What the maintained libraries bring. Loading takes seconds: see `load`."""

    numbers: tuple[presidio.Recogniser, ...]
    email: Callable[[str], bool]
    keys: list[secrets.Plugin]


def load() -> Recognisers:
    """Import Presidio and detect-secrets: two seconds and 100 MB. Raises `ImportError`."""
    numbers, email = presidio.load()
    plugins = secrets.load()
    next(secrets.find_after_keywords("password='warm up'"), None)
    return Recognisers(tuple(numbers), email, plugins)
