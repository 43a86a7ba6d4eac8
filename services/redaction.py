"""Redaction at the edge: what a project's policy calls personal or secret never reaches the stream.

`capture/redaction` decides; here is what that needs of the world: policies, the key, libraries that
take seconds to load, a model in a process of its own, and a thread for what is large.
"""

import asyncio
import gc
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Protocol

import msgspec
import structlog

from capture.events import FeedbackReceived, Piece, Span, TraceReceived
from capture.redaction import recognisers
from capture.redaction.every_text import texts_of
from capture.redaction.gates import DirtyEngine
from capture.redaction.placeholder import project_key
from capture.redaction.policy import RedactionPolicy
from capture.redaction.recognisers import Recognisers
from capture.redaction.redactor import Names, Redactor
from capture.redaction.rules import Rules
from services.errors import Unavailable
from services.policy import Policy

log = structlog.get_logger()

_KEY_NAME = "redaction"
_THREAD_BYTES = (
    32_000  # half a millisecond of clean text; a table of numbers takes a thousand times
)
_POLICY_SECONDS = 2.0  # how long ingest waits for a store that is slow, where it knows a policy
_ASK_AGAIN_SECONDS = 5.0  # after a store did not answer: meanwhile the last known policy holds
_PROJECTS = 200  # whose rules are kept ready: 5 ms to make, 1 MB, and up to 4 MB of texts each


class Secrets(Protocol):
    """Where the installation's key is kept."""

    async def get_or_make(self, name: str) -> bytes:
        """The random bytes of this name, the same for all who ask. Raises `Unavailable`."""


class PolicySource(Protocol):
    """Where policies come from."""

    async def of(self, project: str) -> Policy:
        """The project's policy. Raises `Unavailable`."""


class NameFinder(Protocol):
    """A model that finds names of people, places and organisations."""

    def start(self) -> None:
        """Start loading the model, without waiting for it."""

    async def find(self, texts: Sequence[str]) -> Names:
        """What it found, by text; texts without any are left out. Raises `Unavailable`."""

    async def close(self) -> None:
        """Let go of the model."""


class Unredacted:
    """Takes nothing out: for what was redacted before, and for tests of other things."""

    async def redact(self, pieces: Sequence[Piece]) -> Sequence[Piece]:
        """The pieces as they are."""
        return pieces


class _Loading(Exception):
    """A candidate has to be decided and the recognisers are not there yet."""


class _Known(msgspec.Struct):
    policy: RedactionPolicy
    rules: Rules
    asked: float


class Redaction:
    """Redacts pieces by the policy of their project."""

    def __init__(
        self,
        policies: PolicySource,
        secrets: Secrets,
        *,
        key: bytes | None = None,
        names: NameFinder | None = None,
        on_redacted: Callable[[str, int], None] = lambda _, __: None,
        load: Callable[[], Recognisers] = recognisers.load,
    ) -> None:
        """`key` goes before the one in `secrets`; `on_redacted` is told kinds and counts."""
        self._policies = policies
        self._secrets = secrets
        self._key = key
        self._names = names
        self._on_redacted = on_redacted
        self._load = load
        self._loading: Future[Recognisers] | None = None
        self._known: OrderedDict[str, _Known] = OrderedDict()

    def start(self) -> None:
        """Start loading what recognises, in a thread: clean text does not wait for it."""
        if self._names is not None:
            self._names.start()
        if self._loading is None or (self._loading.done() and self._loading.exception()):
            self._loading = Future()
            threading.Thread(
                target=_load_into, args=(self._loading, self._load), name="recognisers", daemon=True
            ).start()

    async def redact(self, pieces: Sequence[Piece]) -> Sequence[Piece]:
        """The pieces, in order, without what their projects' policies say must go.

        Raises:
            Unavailable: a policy is not known and cannot be read, or what recognises cannot be
                loaded. Nothing goes through unredacted.
        """
        rules = {project: await self._rules(project) for project in {p.project for p in pieces}}
        if not any(rules.values()):
            return pieces
        names = await self._named([p for p in pieces if rules[p.project] is not None])
        for _ in range(2):
            try:
                return await self._redacted(pieces, rules, names)
            except _Loading:
                await self._loaded()
            except DirtyEngine as error:
                message = (
                    "redaction ran out of memory for its patterns; nothing is taken unredacted"
                )
                raise Unavailable(message) from error
        message = "redaction's recognisers are not loaded yet"
        raise Unavailable(message)

    async def close(self) -> None:
        """Let go of the model, if there is one."""
        if self._names is not None:
            await self._names.close()

    async def _redacted(
        self, pieces: Sequence[Piece], rules: dict[str, Rules | None], names: Names
    ) -> Sequence[Piece]:
        work = _Work(pieces, rules, names)
        if work.small():
            result = work.done()
        else:
            result = await asyncio.to_thread(work.done)
        for kind, count in work.counts.items():
            self._on_redacted(kind, count)
        return result

    async def _rules(self, project: str) -> Rules | None:
        """The project's rules; None where redaction is off. Raises `Unavailable`."""
        known = self._known.get(project)
        policy = await self._policy(project, known)
        if known is None or policy != known.policy:
            if self._key is None:
                self._key = await self._secrets.get_or_make(_KEY_NAME)
            rules = Rules(policy, project_key(self._key, project), self._recognisers)
            known = self._known[project] = _Known(policy, rules, 0.0)
            if len(self._known) > _PROJECTS:
                self._known.popitem(last=False)
        elif project in self._known:  # it may have been put out while the policy was read
            self._known.move_to_end(project)
        return known.rules if policy.enabled else None

    async def _policy(self, project: str, known: _Known | None) -> RedactionPolicy:
        """The policy in force; the last known one when the store does not answer."""
        if known is None:
            return (await self._policies.of(project)).redaction
        if time.monotonic() < known.asked:
            return known.policy
        try:
            async with asyncio.timeout(_POLICY_SECONDS):
                return (await self._policies.of(project)).redaction
        except (Unavailable, TimeoutError) as error:
            known.asked = time.monotonic() + _ASK_AGAIN_SECONDS
            log.warning("policy_not_read", project=project, why=str(error) or "it takes too long")
            return known.policy

    async def _named(self, pieces: Sequence[Piece]) -> Names:
        if self._names is None:
            return {}
        return await self._names.find(texts_of(pieces))

    def _recognisers(self) -> Recognisers:
        if self._loading is None or not self._loading.done():
            raise _Loading
        error = self._loading.exception()
        if error is not None:
            raise _Loading
        return self._loading.result()

    async def _loaded(self) -> None:
        """Return when the recognisers are there. Raises `Unavailable`."""
        self.start()
        if self._loading is None:
            return
        try:
            await asyncio.shield(asyncio.wrap_future(self._loading))
        except Exception as error:
            log.error("recognisers_not_loaded", why=repr(error))  # noqa: TRY400 - it says why itself
            message = (
                "redaction's recognisers cannot be loaded, and nothing is taken unredacted: "
                f"{type(error).__name__}: {error}"
            )
            raise Unavailable(message) from error


class _Work:
    """The pieces of one request."""

    def __init__(
        self, pieces: Sequence[Piece], rules: dict[str, Rules | None], names: Names
    ) -> None:
        self._pieces = pieces
        self._names = names
        self._redactors = {
            project: None if rule is None else Redactor(rule, names=names)
            for project, rule in rules.items()
        }

    def small(self) -> bool:
        """Whether the event loop may wait for it."""
        left = _THREAD_BYTES
        for piece in self._pieces:
            left -= _weight(piece)
            if left < 0:
                return False
        return True

    def done(self) -> list[Piece]:
        """The pieces without. Raises `_Loading`, `DirtyEngine`."""
        return [
            piece
            if (redactor := self._redactors[piece.project]) is None
            else redactor.redact(piece)
            for piece in self._pieces
        ]

    @property
    def counts(self) -> dict[str, int]:
        """How many of each kind were taken out."""
        total: dict[str, int] = {}
        for redactor in self._redactors.values():
            for kind, count in redactor.counts.items() if redactor is not None else ():
                total[kind] = total.get(kind, 0) + count
        return total


def _weight(piece: Piece) -> int:
    """About how many bytes a piece has, without looking into everything it says."""
    if isinstance(piece, TraceReceived):
        return len(msgspec.json.encode(piece))
    if isinstance(piece, FeedbackReceived):
        return len(msgspec.json.encode(piece.signal))
    if len(piece.spans) > _THREAD_BYTES // 3000:  # spans of the usual 2.7 kB
        return _THREAD_BYTES + 1
    return len(msgspec.json.encode(piece.resource)) + sum(map(_weight_of_span, piece.spans))


def _weight_of_span(span: Span) -> int:
    total = 200 + len(span.status_message)
    for value in span.attributes.values():
        if isinstance(value, str):
            total += len(value)
        else:
            total += len(msgspec.json.encode(value)) if isinstance(value, (list, dict)) else 50
    return total + len(msgspec.json.encode(span.events)) if span.events else total


def _load_into(future: "Future[Recognisers]", load: Callable[[], Recognisers]) -> None:
    try:
        loaded = load()
        gc.collect()
        gc.freeze()  # Presidio's modules stay: no collection need go through them
        future.set_result(loaded)
    except BaseException as error:  # noqa: BLE001 - whoever waits for it is told
        future.set_exception(error)
