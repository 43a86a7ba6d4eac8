"""Moving a project to another embedding space: prepared beside the one that serves, then switched.

Preparing embeds every stored text in the other space and lays each pattern's centroid there;
patterns keep their ids, and nothing that serves is touched. It only ever adds what is not there
yet, so that it can be killed at any moment, run again, and run beside a working deduper.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

import msgspec
import numpy as np

from capture.events import Failure
from dedup.assign import candidate
from dedup.policy import TextPolicy
from services.encoders import Embedder
from services.pattern_store import (
    Embedded,
    Embeddings,
    Kept,
    PatternReader,
    PatternStore,
    PatternWriter,
    Rewritten,
    Serving,
    StoredEmbedding,
    Sum,
)
from services.preparing import as_kept
from services.space_centroids import SpaceCentroids, add_to_centroids
from services.spaces import space_of, text_of

_PAGE = 256  # texts a step: seconds of embedding, a lock of milliseconds
_LAST = 256  # so many texts may be left to embed under the lock at the switch
_ROUNDS = 20
_BEFORE_GUARDS = "1"  # the first way of writing texts; migration 0005 knew only the fault of each


class SpaceRecords(Protocol):
    """What is known of a project's spaces. Everything raises `Unavailable`."""

    async def texts(self, project: str, space: str) -> int:
        """How many texts the space has."""

    async def traces_of(
        self, project: str, fingerprints: Sequence[str]
    ) -> Mapping[str, Sequence[str]]:
        """The latest traces that failed with these texts, the latest first."""

    async def written_before(
        self, project: str, space: str, before: str, fingerprints: Sequence[str]
    ) -> Mapping[str, tuple[str, str]]:
        """Fingerprint and text that a space has of texts of the way `before`, by fingerprint there."""

    async def changes(self, project: str) -> int:
        """How many merges, splits and undos there were."""

    async def described(
        self, project: str, pattern_ids: Sequence[str]
    ) -> Mapping[str, tuple[str, int]]:
        """The representative's text and the occurrences of these patterns."""

    async def learn(self, project: str, told: Rewritten) -> None:
        """Have failures with these new fingerprints belong to the patterns of the former ones.

        Where there are such failures already, they stay where they are. Both are kept beside each
        other: what people say about one holds for the other.
        """


class ArchivedFailures(Protocol):
    """Failures as the archive still has them."""

    async def of(self, project: str, trace_id: str) -> Failure | None:
        """The failure of this trace, scored again; None where it is not archived any more."""


class Target(msgspec.Struct, frozen=True):
    """The space to prepare."""

    encoder: str
    text: TextPolicy

    @property
    def space(self) -> str:
        """Its name."""
        return space_of(self.encoder, self.text)


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """How far a space is prepared.

    `texts`: of the serving space. `embedded`: how many of them were embedded by this run.
    `unreadable`: texts that the model gave no vector for; failures with them are known by their
    fingerprint alone. `from_archive`: texts that were written anew from their failure; the others
    are as they are stored, since their text policy is the same or their trace is gone.
    """

    texts: int = 0
    embedded: int = 0
    unreadable: int = 0
    from_archive: int = 0
    patterns: int = 0


class NotSwitched(Exception):
    """The switch did not happen; the message says why and what to do."""


class Reembedding:
    """Prepares the space of one encoder, project by project."""

    def __init__(
        self,
        store: PatternStore,
        embeddings: Embeddings,
        records: SpaceRecords,
        failures: ArchivedFailures,
        embedder: Embedder,
        *,
        clock: Callable[[], datetime],
        on_progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        """`embedder` is loaded; `on_progress` is told how many texts a step has gone through."""
        self._store = store
        self._embeddings = embeddings
        self._centroids = SpaceCentroids(store, embeddings)
        self._records = records
        self._failures = failures
        self._embedder = embedder
        self._clock = clock
        self._on_progress = on_progress

    async def prepare(self, project: str, serving: Serving, target: Target) -> Prepared:
        """Embed what the target lacks and lay the patterns' centroids there.

        Raises:
            NotSwitched: another space came to serve meanwhile.
            Unavailable: the store or the model is not there.
        """
        run = _Run(project, serving, target)
        await self._catch_up(run)
        await self._lay_centroids(run)
        return run.prepared()

    async def switch(
        self, project: str, serving: Serving, target: Target, *, by: str, reason: str
    ) -> tuple[Prepared, Serving]:
        """Have the target serve the project, after it has all that the serving space has.

        Raises:
            NotSwitched: another space came to serve meanwhile, or merges went on all the time.
            Unavailable: the store or the model is not there.
        """
        run = _Run(project, serving, target)
        for _ in range(_ROUNDS):
            changes = await self._records.changes(project)
            await self._catch_up(run)
            await self._lay_centroids(run)
            await self._embed_ahead(run)
            async with self._store.locked(project) as store:
                await run.check(store)
                left = await self._embeddings.after(
                    project, serving.space, run.seq, limit=_LAST + 1
                )
                if changes != await self._records.changes(project):
                    run.begin_again()
                    continue
                if len(left) > _LAST:
                    continue  # once more without the lock, which others wait for
                texts = await self._rewritten(run, left)
                added = await self._add(run, store, await self._embedded(run, texts))
                await add_to_centroids(store, target.space, list(added.values()))
                switched = Serving(
                    ordinal=serving.ordinal + 1,
                    space=target.space,
                    encoder=target.encoder,
                    text=target.text,
                    by=by,
                    reason=reason,
                    at=self._clock(),
                )
                await store.serve(switched)
            await self._learn(run, left, texts)
            return run.prepared(), switched
        message = (
            f"the patterns of {project} were being changed all the time; nothing was switched. "
            "Try again when nobody merges or splits them."
        )
        raise NotSwitched(message)

    async def _catch_up(self, run: "_Run") -> None:
        """Texts that the serving space has and the target has not."""
        while page := await self._embeddings.after(
            run.project, run.serving.space, run.seq, limit=_PAGE
        ):
            texts = await self._rewritten(run, page)
            made = await self._embedded(run, texts)
            await self._learn(run, page, texts)
            if made:
                async with self._store.locked(run.project) as store:
                    await run.check(store)
                    await self._add(run, store, made)
            run.seq = page[-1].seq
            run.texts += len(page)
            self._on_progress(len(page))

    async def _embed_ahead(self, run: "_Run") -> None:
        """What came meanwhile: the embedder remembers it, and under the lock little is left to do.

        Its fingerprints are learnt too: a switch that is killed before it learns them leaves none.
        """
        told = run.from_archive
        left = await self._embeddings.after(run.project, run.serving.space, run.seq, limit=_LAST)
        if left:
            texts = await self._rewritten(run, left)
            await self._embedder.embed([one.text for one in texts])
            await self._learn(run, left, texts)
        run.from_archive = told  # they are counted under the lock

    async def _rewritten(
        self, run: "_Run", page: Sequence[StoredEmbedding]
    ) -> Sequence[StoredEmbedding]:
        """The texts as the target's policy writes them, from the archive as far as it goes."""
        if run.same_text:
            return page
        names = [one.fingerprint for one in page]
        there = await self._records.written_before(
            run.project, run.target.space, text_of(run.serving.space), names
        )
        traces = await self._records.traces_of(
            run.project, [one for one in names if one not in there]
        )
        return [
            msgspec.structs.replace(one, fingerprint=found[0], text=found[1])
            if (found := there.get(one.fingerprint)) is not None
            else await self._written(run, one, traces.get(one.fingerprint, ()))
            for one in page
        ]

    async def _written(
        self, run: "_Run", one: StoredEmbedding, traces: Sequence[str]
    ) -> StoredEmbedding:
        for trace_id in traces:
            failure = await self._failures.of(run.project, trace_id)
            if failure is None:
                continue
            now = candidate(failure, run.target.text)
            if not run.same_guard(one.guard, now.guard):  # whose failure it is was learnt since
                continue
            run.from_archive += 1
            return msgspec.structs.replace(
                one, text=now.text, fingerprint=now.fingerprint, guard=now.guard
            )
        return one

    async def _embedded(
        self, run: "_Run", texts: Sequence[StoredEmbedding]
    ) -> Mapping[str, tuple[StoredEmbedding, np.ndarray]]:
        """Vectors of the texts that the target has not, by fingerprint."""
        async with self._store.reading(run.project) as store:
            asked = sorted({one.fingerprint for one in texts})
            there = await store.embedded(run.target.space, asked) if asked else {}
        new = {one.fingerprint: one for one in reversed(texts) if one.fingerprint not in there}
        if not new:
            return {}
        found = await self._embedder.embed([one.text for one in new.values()])
        made: dict[str, tuple[StoredEmbedding, np.ndarray]] = {}
        for (key, one), vector in zip(new.items(), found, strict=True):
            if isinstance(vector, str):
                run.unreadable += 1
            else:
                made[key] = (one, as_kept(vector))
        return made

    async def _add(
        self,
        run: "_Run",
        store: PatternWriter,
        made: Mapping[str, tuple[StoredEmbedding, np.ndarray]],
    ) -> Mapping[str, tuple[StoredEmbedding, np.ndarray]]:
        """Keep vectors, under the lock; those that were not there, since others may add them too."""
        space = run.target.space
        there = await store.embedded(space, sorted(made)) if made else {}
        new = {key: one for key, one in made.items() if key not in there}
        if not new:
            return new
        before = await store.sum(space)
        vectors = np.stack([vector for _, vector in new.values()]).astype(np.float64)
        total = vectors.sum(axis=0) + (0.0 if before is None else before.total)
        texts = len(new) + (0 if before is None else before.texts)
        rows = [Embedded(key, one.text, vector, one.guard) for key, (one, vector) in new.items()]
        await store.keep(Kept(space=space, decided=(), embedded=rows, sum=Sum(texts, total)))
        run.embedded += len(new)
        return new

    async def _learn(
        self, run: "_Run", page: Sequence[StoredEmbedding], texts: Sequence[StoredEmbedding]
    ) -> None:
        """Under another text policy a failure has another fingerprint, and the same pattern."""
        if run.same_text:
            return
        first: dict[str, str] = {}
        for before, after in zip(page, texts, strict=True):
            if before.pattern_id is not None and after.fingerprint not in run.learnt:
                first.setdefault(after.fingerprint, before.fingerprint)
        pairs = zip(page, texts, strict=True)
        told = Rewritten(
            before=text_of(run.serving.space),
            text=text_of(run.target.space),
            now={before.fingerprint: after.fingerprint for before, after in pairs},
            first=first,
            guards={one.fingerprint: one.guard for one in texts} if run.before_guards else {},
        )
        await self._records.learn(run.project, told)
        run.learnt.update(first)

    async def _lay_centroids(self, run: "_Run") -> None:
        """The centre, and every pattern's centroid in the target, as patterns are now."""
        laid = await self._centroids.lay(run.project, run.target.space, run.check)
        run.patterns = laid


class _Run:
    """How far one run has come."""

    def __init__(self, project: str, serving: Serving, target: Target) -> None:
        self.project = project
        self.serving = serving
        self.target = target
        self.seq = 0
        self.texts = 0
        self.embedded = 0
        self.unreadable = 0
        self.from_archive = 0
        self.patterns = 0
        # of two texts that are written the same now, the first counts
        self.learnt: set[str] = set()
        # not the policies: the code that writes the text may have changed between two versions
        self.same_text = text_of(serving.space) == text_of(target.space)

        self.before_guards = text_of(serving.space) == _BEFORE_GUARDS

    def same_guard(self, stored: str, now: str) -> bool:
        """Whether a failure is still of the guard that its text is stored with."""
        if self.before_guards:  # they say whose failure it was, and not which tools failed
            return stored.partition("|")[0] == now.partition("|")[0]
        return stored == now

    def begin_again(self) -> None:
        """Patterns were merged or split: what was learnt of texts that are written anew is old."""
        if not self.same_text:
            self.seq = self.texts = self.unreadable = self.from_archive = 0
            self.learnt.clear()

    async def check(self, store: PatternReader) -> None:
        """Under the lock. Raises `NotSwitched` where another space has come to serve: maybe this."""
        now = await store.serving()
        if now is None or now.ordinal != self.serving.ordinal:
            _refuse_overtaken(self.project, now)

    def prepared(self) -> Prepared:
        """As it is told."""
        return Prepared(
            texts=self.texts,
            embedded=self.embedded,
            unreadable=self.unreadable,
            from_archive=self.from_archive,
            patterns=self.patterns,
        )


def _refuse_overtaken(project: str, now: Serving | None) -> None:
    serves = "none" if now is None else f"{now.space}, by {now.by}"
    message = (
        f"another space came to serve {project} meanwhile ({serves}); nothing was switched. Look at "
        f"`evalratchet dedup space --project {project}` and run this again."
    )
    raise NotSwitched(message)
