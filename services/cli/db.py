"""`db`: the store's tables."""

from services.cli.opened import effective_settings, migrate, run
from services.cli.output import print_json
from services.cli.problem import refuse
from services.settings import Settings
from services.store.open import open_store
from services.store.schema import HEAD, StoreNotReady


def upgrade() -> None:
    """Migrate, and say to what."""
    settings = effective_settings()
    run(migrate(settings))
    print(f"The store {settings.masked()['store']} is at revision {HEAD}.")


def current(*, as_json: bool) -> None:
    """Print whether the tables are what this version needs."""
    settings = effective_settings()
    problem = run(_problem(settings))
    if as_json:
        print_json({"needed": HEAD, "ready": problem is None, "detail": problem or ""})
    elif problem is None:
        print(f"The store {settings.masked()['store']} is at revision {HEAD}, as it should be.")
    if problem is not None:
        refuse("The store is not ready.", problem)


async def _problem(settings: Settings) -> str | None:
    store = open_store(settings)
    try:
        await store.start()
    except StoreNotReady as error:
        return str(error)
    finally:
        await store.close()
    return None
