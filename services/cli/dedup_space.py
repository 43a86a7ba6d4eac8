"""`dedup space`: which embedding space serves a project, and which one the settings ask for."""

from datetime import datetime

import msgspec

from dedup.encoders.hashing import HashingEncoder
from dedup.encoders.identity import HASHING_MODEL, REFERENCE_BACKEND, EncoderSpec, Identity
from dedup.encoders.loading import compiled_of
from dedup.encoders.port import ModelRefused
from dedup.encoders.weights import cached_reference, local_reference, shown_name
from services.cli.known import check_project
from services.cli.opened import effective_settings, opened_store, run
from services.cli.output import fits, print_fields, print_json, print_table, when
from services.cli.problem import note
from services.cli.typed import own_name
from services.settings import Settings
from services.spaces import space_of
from services.store.open import Store


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """One period of a project in one space."""

    space: str
    since: datetime
    by: str
    reason: str


class ProjectSpace(msgspec.Struct, frozen=True, kw_only=True):
    """What serves a project, what the settings and its policy ask for, and how much of it there is.

    `configured` is null where the configured encoder cannot be named; `problem` says why.
    """

    project: str
    serves: Served | None
    texts: int
    configured: str | None
    prepared: int | None
    before: list[Served]
    problem: str | None = None


def show_space(*, project: str | None, as_json: bool) -> None:
    """Print the spaces of a project, or of all."""
    shown = run(_spaces(project))
    if as_json:
        print_json(shown)
        return
    if not shown:
        note("No project has failures yet: its first failure makes its space.")
        return
    columns = ["project", "serves", "since", "by", "texts", "configured"]
    rows = [_row(one) for one in shown]
    if fits(columns, rows):
        print_table(columns, rows, flexible="configured")
    else:  # a space has a long name, which is to be read and copied whole
        for number, row in enumerate(rows):
            if number:
                print()
            print_fields(list(zip(columns, row, strict=True)))
    for problem in sorted({one.problem for one in shown if one.problem}):
        note(f"The configured encoder cannot be named: {problem}")
    another = [
        one for one in shown if one.serves and one.configured not in {None, one.serves.space}
    ]
    for one in another:
        note(
            f"{one.project} stays with what serves it until you run: "
            f"{own_name()} dedup reembed --project {one.project} --switch"
        )


def configured_encoder(settings: Settings) -> str:
    """The identity of the configured encoder, without loading it.

    Raises:
        ModelRefused: it cannot be told; says why and what to do.
    """
    spec = EncoderSpec(settings.embedding_model, settings.embedding_backend)
    compiled = compiled_of(spec, settings.models_folder)
    if compiled is not None:
        return compiled.manifest.identity
    if spec.model == HASHING_MODEL:
        return HashingEncoder.identity
    reference = local_reference(spec.model) or cached_reference(spec.model)
    if reference is None:
        message = (
            f"{spec.model} is no folder and was not downloaded yet. Check EVALRATCHET_EMBEDDING_MODEL; "
            "the deduper downloads a model of the hub when it starts."
        )
        raise ModelRefused(message)
    return str(Identity(shown_name(spec.model), reference.revision, REFERENCE_BACKEND))


async def _spaces(project: str | None) -> list[ProjectSpace]:
    settings = effective_settings()
    encoder: str | None = None
    problem: str | None = None
    try:
        encoder = configured_encoder(settings)
    except ModelRefused as error:
        problem = str(error)
    async with opened_store(settings) as store:
        await check_project(store, project)
        names = await store.reader.projects() if project is None else [project]
        found = [await _space(store, name, encoder, problem) for name in names]
    return [one for one in found if one.serves is not None or project is not None]


async def _space(
    store: Store, project: str, encoder: str | None, problem: str | None
) -> ProjectSpace:
    async with store.patterns.reading(project) as patterns:
        served = await patterns.served()
    _, policy = await store.policies.current(project)
    configured = None if encoder is None else space_of(encoder, policy.dedup.text)
    periods = [
        Served(space=one.space, since=one.at, by=one.by, reason=one.reason) for one in served
    ]
    prepared = None
    if configured is not None and periods and configured != periods[0].space:
        prepared = await store.spaces.texts(project, configured)
    return ProjectSpace(
        project=project,
        serves=periods[0] if periods else None,
        texts=await store.spaces.texts(project, periods[0].space) if periods else 0,
        configured=configured,
        prepared=prepared,
        before=periods[1:],
        problem=problem,
    )


def _row(one: ProjectSpace) -> list[str]:
    configured = one.configured or "unknown"
    if one.serves is not None and one.configured == one.serves.space:
        configured = "the same"
    elif one.prepared:
        configured += f" ({one.prepared} texts prepared)"
    served = one.serves
    if served is None:
        return [one.project, "none yet", "", "", "0", configured]
    return [one.project, served.space, when(served.since), served.by, str(one.texts), configured]
