"""The project a command is about, where there is often only one."""

from services.cli.known import check_project
from services.cli.problem import misused, refuse
from services.store.open import Store


async def one_project(store: Store, project: str | None) -> str:
    """The named project, or the only one there is. Raises `Problem`."""
    if project is not None:
        await check_project(store, project)
        return project
    known = list(await store.reader.projects())
    if not known:
        refuse("No project has sent anything yet.", "Send traces first: `evalratchet send FILE`.")
    if len(known) > 1:
        misused("Say which project: --project NAME.", f"There are: {', '.join(known[:20])}")
    return known[0]
