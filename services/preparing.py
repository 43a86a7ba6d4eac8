"""What of a batch can be had without the project's lock: texts, earlier decisions, vectors."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from capture.events import Failure
from dedup.assign import Candidate, candidate
from dedup.events import Assignment
from dedup.policy import DedupPolicy
from services.dedup_metrics import DedupMetrics
from services.encoders import EncoderMissing, Encoders
from services.errors import Halted, Unavailable
from services.pattern_store import PatternReader, PatternStore, Serving
from services.policy import Policies
from services.spaces import Spaces, is_readable


class Prepared(msgspec.Struct):
    """One project's part of a batch, on its way to the lock."""

    project: str
    policy: DedupPolicy
    serving: Serving
    candidates: Sequence[Candidate]
    decided: Mapping[str, Assignment]
    """By event id: what was decided before."""
    missing: dict[str, str]
    """By fingerprint: texts that still need a vector, which the space does not have."""
    vectors: dict[str, np.ndarray]
    """By fingerprint: raw, (d,), float32."""
    embedded: dict[str, str] = {}
    """By fingerprint: texts that were embedded for this batch."""
    broken: dict[str, str] = {}
    """By fingerprint: why there is no vector."""
    later: str | None = None
    """Why what is missing has to wait, where the encoder that most are served by is away."""
    held: str | None = None
    """The same where it is this project's own matter, an encoder or a former way of writing texts: the
    others need not wait for it."""

    @property
    def undecided(self) -> bool:
        """Whether anything is left to decide."""
        return any(one.event_id not in self.decided for one in self.candidates)


class Preparing:
    """Prepares the projects of a batch, and embeds what they need together."""

    def __init__(
        self,
        store: PatternStore,
        encoders: Encoders,
        policies: Policies,
        spaces: Spaces,
        metrics: DedupMetrics,
    ) -> None:
        """Read from `store`."""
        self._store = store
        self._encoders = encoders
        self._policies = policies
        self._spaces = spaces
        self._metrics = metrics

    async def prepare(self, project: str, failures: Sequence[Failure]) -> Prepared:
        """Everything but the vectors that have to be made. Raises `Unavailable`."""
        policy = (await self._policies.of(project)).dedup
        async with self._store.reading(project) as store:
            serving = await store.serving()
            if serving is not None:
                return await self._looked_up(store, project, policy, serving, failures)
        serving = await self._spaces.first(project, policy.text)
        async with self._store.reading(project) as store:
            return await self._looked_up(store, project, policy, serving, failures)

    async def _looked_up(
        self,
        store: PatternReader,
        project: str,
        policy: DedupPolicy,
        serving: Serving,
        failures: Sequence[Failure],
    ) -> Prepared:
        self._spaces.say_if_another(project, serving, policy.text)
        with self._metrics.spending("text"):
            candidates = [candidate(failure, serving.text) for failure in failures]
        with self._metrics.spending("lookup"):
            decided = await store.decisions([one.event_id for one in candidates])
            open_ = [one for one in candidates if one.event_id not in decided]
            asked = sorted({one.fingerprint for one in open_})
            known = await store.fingerprints(asked) if asked else {}
            texts = {
                one.fingerprint: one.text
                for one in reversed(open_)  # of equal fingerprints the first is embedded
                if one.fingerprint not in known
            }
            cached = await store.embedded(serving.space, sorted(texts)) if texts else {}
        return Prepared(
            project=project,
            policy=policy,
            serving=serving,
            candidates=candidates,
            decided=decided,
            missing={one: text for one, text in texts.items() if one not in cached},
            vectors=dict(cached),
            held=None if is_readable(serving) else _why_another_text(project, serving),
        )

    async def embed(self, parts: Sequence[Prepared]) -> None:
        """Embed what is missing, of all projects together, each text once for each encoder.

        Nothing is embedded for a project that is held already. Where an encoder cannot be had, only the
        projects that it serves wait: `later` for the configured one, `held` for another.
        """
        by_encoder: defaultdict[str, list[Prepared]] = defaultdict(list)
        for part in parts:
            if part.missing and part.held is None:
                by_encoder[part.serving.encoder].append(part)
        for encoder, served in by_encoder.items():
            try:
                await self._embed(encoder, served)
            except (EncoderMissing, Unavailable, Halted) as error:
                configured = encoder == self._encoders.configured
                if isinstance(error, Halted) and configured:
                    raise
                for part in served:
                    if configured:
                        part.later = str(error)
                    else:
                        part.held = _why_held(part, error)

    async def _embed(self, encoder: str, parts: Sequence[Prepared]) -> None:
        embedder = await self._encoders.of(encoder)
        texts = list(dict.fromkeys(text for part in parts for text in part.missing.values()))
        with self._metrics.spending("embed"):
            found = dict(zip(texts, await embedder.embed(texts), strict=True))
        for part in parts:
            for fingerprint, text in part.missing.items():
                result = found[text]
                if isinstance(result, str):
                    part.broken[fingerprint] = result
                else:
                    part.vectors[fingerprint] = as_kept(result)
                    part.embedded[fingerprint] = text
            part.missing = {}


def as_kept(vector: np.ndarray) -> np.ndarray:
    """The vector (d,) as the store will give it back, so that what is decided now is decided again.

    The store keeps float16: three digits, 0.0005 of a cosine at most.
    """
    kept: np.ndarray = vector.astype(np.float16).astype(np.float32)
    return kept


def _why_another_text(project: str, serving: Serving) -> str:
    return (
        f"project {project} has the texts and vectors of another version of evalratchet "
        f"({serving.space}), which wrote failures in another way; they are not compared with those of "
        f"this one. Have them written anew: `evalratchet dedup reembed --project {project} --switch`."
    )


def _why_held(part: Prepared, error: Exception) -> str:
    if isinstance(error, Unavailable):
        return str(error)
    return (
        f"project {part.project} is served by the encoder {part.serving.encoder}, which cannot be "
        f"loaded: {error} Bring it back, or switch the project to the configured one: "
        f"`evalratchet dedup reembed --project {part.project} --switch`."
    )
