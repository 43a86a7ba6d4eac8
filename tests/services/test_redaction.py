import asyncio
import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from capture.events import FeedbackReceived, Piece, Span, SpansReceived, TraceReceived
from capture.redaction import recognisers
from capture.redaction.policy import RedactionPolicy
from capture.redaction.recognisers import Recognisers
from capture.trace import Signal, Trace
from services.errors import Unavailable
from services.policy import Policy
from services.redaction import Redaction

KEY = b"the installation's thirty-two by"


@pytest.fixture(scope="module")
def loaded() -> Recognisers:
    return recognisers.load()


class _Store:
    """Policies and the key, or neither while `down`."""

    def __init__(self) -> None:
        self.down = False
        self.slow = False
        self.policies: dict[str, RedactionPolicy] = {}

    async def of(self, project: str) -> Policy:
        if self.slow:
            await asyncio.sleep(3600)
        if self.down:
            raise Unavailable("the store is down")
        return Policy(redaction=self.policies.get(project, RedactionPolicy()))

    async def get_or_make(self, name: str) -> bytes:
        assert name == "redaction"
        if self.down:
            raise Unavailable("the store is down")
        return KEY


@pytest.fixture
def store() -> _Store:
    return _Store()


def _redaction(store: _Store, loaded: Recognisers, **options: Any) -> Redaction:
    redaction = Redaction(store, store, load=lambda: loaded, **options)
    redaction.start()
    return redaction


def _piece(text: Any, project: str = "shop") -> TraceReceived:
    return TraceReceived(event_id="", trace=Trace(trace_id="t", project=project, input=text))


async def _input(redaction: Redaction, text: Any, project: str = "shop") -> Any:
    (piece,) = await redaction.redact([_piece(text, project)])
    assert isinstance(piece, TraceReceived)
    return piece.trace.input


async def test_the_same_value_has_the_same_placeholder_in_every_process_of_a_project(
    store: _Store, loaded: Recognisers
) -> None:
    first, second = _redaction(store, loaded), _redaction(store, loaded)
    here = await _input(first, "bob@example.com")
    assert here == await _input(second, "bob@example.com")
    assert here != await _input(first, "bob@example.com", "another")


async def test_a_key_of_the_settings_goes_before_the_stored_one(
    store: _Store, loaded: Recognisers
) -> None:
    stored = await _input(_redaction(store, loaded), "bob@example.com")
    own = await _input(_redaction(store, loaded, key=b"k" * 16), "bob@example.com")
    assert stored != own


async def test_a_store_that_is_down_does_not_stop_a_project_that_is_known(
    store: _Store, loaded: Recognisers
) -> None:
    redaction = _redaction(store, loaded)
    before = await _input(redaction, "bob@example.com")
    store.down = True
    assert await _input(redaction, "bob@example.com") == before
    with pytest.raises(Unavailable, match="store is down"):
        await _input(redaction, "bob@example.com", "unknown")


async def test_a_store_that_hangs_holds_a_known_project_up_once(
    store: _Store, loaded: Recognisers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.redaction._POLICY_SECONDS", 0.05)
    redaction = _redaction(store, loaded)
    before = await _input(redaction, "bob@example.com")
    store.slow = True
    assert await _input(redaction, "bob@example.com") == before
    monkeypatch.setattr("services.redaction._POLICY_SECONDS", 3600)
    async with asyncio.timeout(60):  # it is not asked again at once
        assert await _input(redaction, "bob@example.com") == before


async def test_a_changed_policy_is_in_force_for_the_next_request(
    store: _Store, loaded: Recognisers
) -> None:
    redaction = _redaction(store, loaded)
    assert "<EMAIL_" in await _input(redaction, "bob@example.com CU-123456")
    store.policies["shop"] = RedactionPolicy(kinds=(), patterns={"customer": r"CU-\d{6}"})
    after = await _input(redaction, "bob@example.com CU-123456")
    assert after.startswith("bob@example.com <CUSTOMER_")
    store.policies["shop"] = RedactionPolicy(enabled=False)
    assert await _input(redaction, "bob@example.com") == "bob@example.com"


async def test_clean_text_does_not_wait_for_the_recognisers(
    store: _Store, loaded: Recognisers
) -> None:
    ready = asyncio.Event()
    loop = asyncio.get_running_loop()

    def load() -> Recognisers:
        asyncio.run_coroutine_threadsafe(ready.wait(), loop).result(30)
        return loaded

    redaction = Redaction(store, store, load=load)
    redaction.start()
    assert await _input(redaction, "where is my parcel?") == "where is my parcel?"
    waiting = asyncio.create_task(_input(redaction, "ask bob@example.com"))
    await asyncio.sleep(0)
    assert not waiting.done()
    ready.set()
    assert (await waiting).startswith("ask <EMAIL_")


async def test_recognisers_that_cannot_be_loaded_let_nothing_through(store: _Store) -> None:
    def broken() -> Recognisers:
        raise ImportError("no module named presidio_analyzer")

    redaction = Redaction(store, store, load=broken)
    redaction.start()
    assert await _input(redaction, "clean") == "clean"
    for _ in range(2):
        with pytest.raises(Unavailable, match="nothing is taken unredacted: ImportError"):
            await _input(redaction, "bob@example.com")


async def test_what_is_large_goes_off_the_loop_and_comes_back_in_order(
    store: _Store, loaded: Recognisers
) -> None:
    counted: Counter[str] = Counter()
    redaction = _redaction(
        store, loaded, on_redacted=lambda kind, count: counted.update({kind: count})
    )
    spans = [
        Span(span_id=f"{n:016x}", attributes={"input.value": f"user{n}@example.com"})
        for n in range(200)
    ]
    piece = SpansReceived(event_id="", project="shop", trace_id="t", spans=tuple(spans))
    pieces: Sequence[Piece] = await redaction.redact([piece, _piece("x" * 300_000), _piece("end")])
    first, _, last = pieces
    assert isinstance(first, SpansReceived)
    assert isinstance(last, TraceReceived)
    assert [span.span_id for span in first.spans] == [span.span_id for span in spans]
    assert all(span.attributes["input.value"].startswith("<EMAIL_") for span in first.spans)
    assert last.trace.input == "end"
    assert counted == {"email": 200}


async def test_requests_at_the_same_time_do_not_mix(store: _Store, loaded: Recognisers) -> None:
    redaction = _redaction(store, loaded)
    alone = [await _input(redaction, f"user{n}@example.com {'y ' * 120_000}") for n in range(4)]
    together = await asyncio.gather(
        *(_input(redaction, f"user{n}@example.com {'y ' * 120_000}") for n in range(4))
    )
    assert together == alone


@pytest.mark.parametrize(
    "piece",
    [
        FeedbackReceived(
            event_id="",
            project="shop",
            trace_id="t",
            signal=Signal(name="note", comment="bob@example.com " + "x" * 300_000),
        ),
        SpansReceived(
            event_id="",
            project="shop",
            trace_id="ab" * 16,
            spans=(
                Span(
                    span_id="1",
                    events=({"name": "prompt", "body": "bob@example.com " + "x" * 300_000},),
                ),
            ),
        ),
        SpansReceived(
            event_id="",
            project="shop",
            trace_id="ab" * 16,
            spans=(Span(span_id="1", attributes={"docs": ["bob@example.com " + "x" * 300_000]}),),
        ),
    ],
    ids=["feedback", "events of a span", "an array of a span"],
)
async def test_what_is_large_does_not_keep_the_event_loop_wherever_it_lies(
    store: _Store, loaded: Recognisers, piece: Piece
) -> None:
    threads: list[threading.Thread] = []

    def holds(address: str) -> bool:
        threads.append(threading.current_thread())
        return loaded.email(address)

    noticing = msgspec.structs.replace(loaded, email=holds)
    await _redaction(store, noticing).redact([piece])
    assert threads
    assert threading.main_thread() not in threads
