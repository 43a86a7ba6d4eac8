"""`keys`: make, list, revoke."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from capture.trace import ProjectName
from services.cli.opened import effective_settings, make_embedded_store, opened_store, run
from services.cli.output import one_line, print_json, print_table, when
from services.cli.problem import misused, note, refuse
from services.keys import SCOPES, KeyRecord, Scope, drawn, id_in, shown

_LONGEST_NAME = 200


def create_key(
    project: str | None,
    *,
    scopes: Sequence[str],
    name: str,
    expires_days: float | None,
    all_projects: bool,
    as_json: bool,
) -> None:
    """Make a key and print it."""
    _check(project, name, all_projects=all_projects)
    now = datetime.now(UTC)
    record, key = drawn(
        project=project,
        name=name,
        scopes=_scopes(scopes),
        now=now,
        expires_at=None if expires_days is None else now + timedelta(days=expires_days),
    )
    run(_kept(record))
    if as_json:
        print_json(shown(record, key))
        return
    whose = f"the project {project}" if project is not None else "every project"
    until = "" if record.expires_at is None else f", until {when(record.expires_at)}"
    note(f"A key for {whose} ({', '.join(record.scopes)}){until}. It is shown this once:")
    print(key)


def list_keys(*, project: str | None, all_keys: bool, as_json: bool) -> None:
    """Print the keys there are."""
    now = datetime.now(UTC)
    records = [one for one in run(_every(project)) if all_keys or one.usable(now)]
    if as_json:
        print_json([shown(record) for record in records])
        return
    if not records:
        note("There are no keys. `evalratchet keys create PROJECT --scope ingest` makes one.")
        return
    columns = ["key", "project", "scopes", "name", "created", "last used", "state"]
    rows = [
        [
            record.shown,
            record.project or "(all)",
            ",".join(record.scopes),
            one_line(record.name),
            when(record.created_at),
            when(record.last_used_at) or "never",
            _state(record, now),
        ]
        for record in records
    ]
    print_table(columns, rows, flexible="name")


def revoke_key(key: str) -> None:
    """Revoke a key and say so."""
    key_id = id_in(key) or key
    record = run(_revoked(key_id))
    if record is None:
        refuse(f"There is no key {one_line(key_id, 40)!r}.", "See `evalratchet keys list`.")
    print(f"{record.shown} is revoked and opens nothing any more, everywhere within 2 seconds.")


def _check(project: str | None, name: str, *, all_projects: bool) -> None:
    if (project is None) != all_projects:
        misused(
            "Say which project the key is for, or --all-projects.",
            "For example: evalratchet keys create shop --scope ingest",
        )
    if project is not None:
        try:
            msgspec.convert(project, ProjectName)
        except msgspec.ValidationError:
            misused(
                f"{one_line(project, 80)!r} is no project name.",
                "A project name has 1 to 64 letters, digits, dots, dashes and underscores, and "
                "begins with a letter or digit.",
            )
    if len(name) > _LONGEST_NAME:
        misused("The name is too long.", f"It may have {_LONGEST_NAME} characters.")


def _scopes(named: Sequence[str]) -> list[Scope]:
    known: dict[str, Scope] = {scope: scope for scope in SCOPES}
    for name in named:
        if name not in known:
            misused(f"{one_line(name, 40)!r} is no scope.", f"There are: {', '.join(SCOPES)}.")
    return [known[name] for name in named]


def _state(record: KeyRecord, now: datetime) -> str:
    if record.revoked_at is not None:
        return f"revoked {when(record.revoked_at)}"
    if record.expires_at is None:
        return "active"
    return f"{'active until' if record.usable(now) else 'expired'} {when(record.expires_at)}"


async def _kept(record: KeyRecord) -> None:
    settings = effective_settings()
    await make_embedded_store(settings)
    async with opened_store(settings) as store:
        await store.keys.add(record)


async def _every(project: str | None) -> Sequence[KeyRecord]:
    async with opened_store(effective_settings()) as store:
        return await store.keys.every(project)


async def _revoked(key_id: str) -> KeyRecord | None:
    async with opened_store(effective_settings()) as store:
        return await store.keys.revoke(key_id, datetime.now(UTC))
