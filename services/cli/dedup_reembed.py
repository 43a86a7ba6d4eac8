"""`dedup reembed`: prepare another embedding space of a project, look at it, switch to it."""

import getpass
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import msgspec

from services.archived_failures import ArchivedFailures
from services.cli.known import check_project
from services.cli.logs import warnings_on_stderr
from services.cli.opened import effective_settings, opened_store, run
from services.cli.output import full, one_line, print_json, print_table, times
from services.cli.problem import Problem, misused, note, refuse
from services.cli.typed import own_name
from services.embedder import WorkerEmbedder, embedder_of
from services.errors import Halted
from services.pattern_store import Serving
from services.policy import Policies, Policy
from services.reembedding import NotSwitched, Prepared, Reembedding, Target
from services.settings import Settings
from services.space_preview import Look, Pair, SpacePreview
from services.store.open import Store
from services.wiring import examiner_of

_SAY_SECONDS = 5.0


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for."""

    dry_run: bool
    switch: bool
    back: bool
    by: str | None
    reason: str


class Reembedded(msgspec.Struct, frozen=True, kw_only=True):
    """What was done for one project. `now` and `then`: its patterns as the two spaces show them."""

    project: str
    serves: str
    target: str
    texts: int
    already: int
    prepared: Prepared | None = None
    now: Look | None = None
    then: Look | None = None
    switched: bool = False


def reembed(project: str | None, wish: Wish, *, as_json: bool) -> None:
    """Prepare the space and print what it would change; switch where that is wished."""
    if wish.dry_run and wish.switch:
        misused("--dry-run and --switch contradict each other.", "Leave one of them out.")
    if wish.switch and wish.back:
        misused("--switch and --back contradict each other.", "--back switches too; leave one out.")
    if wish.back and project is None:
        misused("Say which project goes back.", "For example: --project support --back")
    with warnings_on_stderr():
        done = run(_reembed(project, wish, quiet=as_json))
    if as_json:
        print_json([full(one) for one in done])
        return
    if not done:
        print("Nothing to do: every project is served by what is configured.")
    for one in done:
        _print(one, wish)


async def _reembed(project: str | None, wish: Wish, *, quiet: bool) -> list[Reembedded]:
    settings = effective_settings()
    async with opened_store(settings) as store:
        await check_project(store, project)
        names = list(await store.reader.projects()) if project is None else [project]
        serving = await _serving(store, names)
        if project is not None and project not in serving:
            refuse(
                f"{project} has no failures yet, so there is nothing to embed.",
                "Its first failure takes the configured encoder.",
            )
        done: list[Reembedded] = []
        if not serving:
            return done
        async with _loaded(settings, serving, wish) as embedder:
            for name, periods in serving.items():
                _, policy = await store.policies.current(name)
                target = _target(name, periods, policy, wish, embedder)
                if target.space != periods[0].space:
                    work = _Work(store, settings, embedder, wish, quiet=quiet)
                    done.append(await work.do(name, periods[0], target, policy))
                elif project is not None and not quiet:
                    note(f"{name} is served by {target.space} already.")
    return done


async def _serving(store: Store, names: Sequence[str]) -> Mapping[str, Sequence[Serving]]:
    """Every period of each project that has one, the latest first."""
    found = {}
    for name in names:
        async with store.patterns.reading(name) as patterns:
            if served := await patterns.served():
                found[name] = served
    return found


@asynccontextmanager
async def _loaded(
    settings: Settings, serving: Mapping[str, Sequence[Serving]], wish: Wish
) -> AsyncIterator[WorkerEmbedder]:
    """The target's encoder, loaded: the configured one, or the one that served before."""
    identity = None
    if wish.back:
        ((name, periods),) = serving.items()
        identity = _before(name, periods).encoder
    try:
        embedder = embedder_of(settings, identity)
    except ValueError as error:
        raise Problem("That encoder cannot be had.", str(error)) from error
    try:
        await embedder.ready()
        yield embedder
    except Halted as error:
        raise Problem("The encoder cannot be loaded.", str(error)) from error
    finally:
        await embedder.close()


def _target(
    project: str, periods: Sequence[Serving], policy: Policy, wish: Wish, embedder: WorkerEmbedder
) -> Target:
    if wish.back:
        before = _before(project, periods)
        return Target(before.encoder, before.text)
    return Target(embedder.encoder, policy.dedup.text)


def _before(project: str, periods: Sequence[Serving]) -> Serving:
    before = next((one for one in periods[1:] if one.space != periods[0].space), None)
    if before is None:
        refuse(
            f"{project} was never served by another space.",
            f"It has been with {periods[0].space} since its first failure.",
        )
    return before


class _Work:
    """One project after the other."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        embedder: WorkerEmbedder,
        wish: Wish,
        *,
        quiet: bool,
    ) -> None:
        self._store = store
        self._settings = settings
        self._embedder = embedder
        self._wish = wish
        self._quiet = quiet

    async def do(
        self, project: str, serving: Serving, target: Target, policy: Policy
    ) -> Reembedded:
        store, distance = self._store, policy.dedup.distance
        texts = await store.spaces.texts(project, serving.space)
        already = await store.spaces.texts(project, target.space)
        done = Reembedded(
            project=project,
            serves=serving.space,
            target=target.space,
            texts=texts,
            already=already,
        )
        if self._wish.dry_run:
            return done
        examiner = examiner_of(self._settings, store)
        failures = ArchivedFailures(store.traces, Policies(store.policies), examiner)
        work = Reembedding(
            store.patterns,
            store.embeddings,
            store.spaces,
            failures,
            self._embedder,
            clock=lambda: datetime.now(UTC),
            on_progress=_Progress(project, texts, quiet=self._quiet).went,
        )
        try:
            prepared = await work.prepare(project, serving, target)
            preview = SpacePreview(store.patterns, store.embeddings, store.spaces)
            now = await preview.look(project, serving.space, distance=distance)
            then = await preview.look(project, target.space, distance=distance)
            if self._wish.switch or self._wish.back:
                await work.switch(
                    project,
                    serving,
                    target,
                    by=self._wish.by or getpass.getuser(),
                    reason=self._wish.reason or ("back" if self._wish.back else ""),
                )
        except NotSwitched as error:
            sentence = f"{project} was not switched."
            raise Problem(sentence, str(error)) from error
        finally:
            await examiner.close()
        return msgspec.structs.replace(
            done,
            prepared=prepared,
            now=now,
            then=then,
            switched=self._wish.switch or self._wish.back,
        )


class _Progress:
    """Says now and then how far it is, on standard error."""

    def __init__(self, project: str, texts: int, *, quiet: bool) -> None:
        self._project = project
        self._texts = texts
        self._quiet = quiet
        self._done = 0
        self._said_at = time.monotonic()

    def went(self, texts: int) -> None:
        """So many more texts were gone through."""
        self._done += texts
        now = time.monotonic()
        if not self._quiet and now - self._said_at > _SAY_SECONDS:
            self._said_at = now
            note(f"{self._project}: {self._done} of {max(self._texts, self._done)} texts")


def _print(one: Reembedded, wish: Wish) -> None:
    print(f"{one.project}")
    print(f"  serves    {one.serves} ({one.texts} texts)")
    print(f"  prepared  {one.target}{_prepared(one)}")
    if one.then is not None and one.now is not None:
        print(f"  at the dedup distance {one.then.distance:g}, of {one.then.patterns} patterns:")
        print(
            f"    would merge into another   {one.then.merging:>6} (as served now: {one.now.merging})"
        )
        print(
            f"    would lose some members    {one.then.splitting:>6} (as served now: {one.now.splitting})"
        )
        _print_pairs("Nearest patterns that would be one:", one.then.merges)
        _print_pairs("Texts farthest from the pattern they are in:", one.then.splits)
    if wish.dry_run:
        note(
            f"Nothing was embedded (--dry-run). About {max(0, one.texts - one.already)} texts would be."
        )
    elif one.switched:
        print(
            f"  {one.target} serves {one.project} from now on; a running deduper takes it over with its "
            f"next batch. Back: {own_name()} dedup reembed --project {one.project} --back"
        )
    else:
        note(
            f"Nothing changes for new failures yet. To switch: {own_name()} dedup reembed --project "
            f"{one.project} --switch"
        )


def _prepared(one: Reembedded) -> str:
    if one.prepared is None:
        return f" ({one.already} texts there already)"
    told = [f"{one.prepared.embedded} texts embedded now"]
    if one.prepared.from_archive:
        told.append(
            f"{one.prepared.from_archive} of {one.prepared.texts} written anew from the archive"
        )
    if one.prepared.unreadable:
        told.append(f"{times(one.prepared.unreadable)} the model gave no vector")
    return f" ({', '.join(told)})"


def _print_pairs(title: str, pairs: Sequence[Pair]) -> None:
    if not pairs:
        return
    print(f"  {title}")
    rows = [
        [
            f"{one.distance:.3f}",
            one.first[:8],
            one_line(one.first_text, 50),
            one_line(one.second_text, 50),
        ]
        for one in pairs
    ]
    print_table(["distance", "pattern", "its text", "the other"], rows, flexible="the other")
