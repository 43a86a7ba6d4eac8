"""The liveness invariant: after any hostile payload, well-formed data still gets through."""

import gzip
import random
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.errors import Undecodable
from services.stream import envelope
from services.stream.port import Message

_GOOD = b'{"event_id":"e","trace":{"trace_id":"t","project":"airline","metadata":%s}}'

HOSTILE: dict[str, tuple[bytes | None, bytes]] = {
    "nothing at all": (b"trace/1", b""),
    "no schema": (None, _GOOD % b"{}"),
    "a schema from the future": (b"trace/2", _GOOD % b"{}"),
    "a schema that is no text": (b"\xff\xfe", _GOOD % b"{}"),
    "a very long schema": (b"x" * 20_000, _GOOD % b"{}"),
    "another event's schema": (b"case/1", _GOOD % b"{}"),
    "zeros": (b"trace/1", bytes(1000)),
    "bytes that are no text": (b"trace/1", b"\xff\xfe\xfd"),
    "a byte order mark": (b"trace/1", b"\xef\xbb\xbf" + _GOOD % b"{}"),
    "another encoding": (b"trace/1", (_GOOD % b"{}").decode().encode("utf-16")),
    "compressed": (b"trace/1", gzip.compress(_GOOD % b"{}")),
    "cut off": (b"trace/1", (_GOOD % b"{}")[:-3]),
    "something behind": (b"trace/1", _GOOD % b"{}" + b"{}"),
    "null": (b"trace/1", b"null"),
    "a list": (b"trace/1", b"[%s]" % (_GOOD % b"{}")),
    "a text": (b"trace/1", b'"trace"'),
    "no trace": (b"trace/1", b'{"event_id":"e"}'),
    "a trace that is a list": (b"trace/1", b'{"event_id":"e","trace":[]}'),
    "an empty trace id": (b"trace/1", (_GOOD % b"{}").replace(b'"t"', b'""')),
    "a trace id of a megabyte": (
        b"trace/1",
        (_GOOD % b"{}").replace(b'"t"', b'"%s"' % (b"t" * 1_000_000)),
    ),
    "a project that is a path": (b"trace/1", (_GOOD % b"{}").replace(b"airline", b"../../etc")),
    "a number out of range": (b"trace/1", _GOOD % b'{"n":1e999}'),
    "not a number": (b"trace/1", _GOOD % b'{"n":NaN}'),
    "half a surrogate": (b"trace/1", _GOOD % b'{"s":"\\ud800"}'),
    "a zero in a text": (b"trace/1", _GOOD % b'{"s":"\\u0000"}'),
    "a number of 4,000 digits": (b"trace/1", _GOOD % (b'{"n":1%s}' % (b"0" * 4000))),
    "100,000 brackets": (b"trace/1", _GOOD % (b'{"n":%s}' % (b"[" * 100_000))),
    "nested too deep to read": (b"trace/1", _GOOD % (b'{"n":%s1%s}' % (b"[" * 5000, b"]" * 5000))),
    **{
        f"nested {deep} deep": (b"trace/1", _GOOD % (b'{"n":%s1%s}' % (b"[" * deep, b"]" * deep)))
        for deep in range(880, 1000, 4)  # what can just be read cannot always be written again
    },
    "the same field twice": (b"trace/1", _GOOD % b'{"a":1,"a":2}'),
    "a negative cost of tokens": (
        b"trace/1",
        b'{"event_id":"e","trace":{"trace_id":"t","project":"p","tokens_in":-1}}',
    ),
    "a step of an unknown type": (
        b"trace/1",
        b'{"event_id":"e","trace":{"trace_id":"t","project":"p","steps":[{"type":"magic"}]}}',
    ),
    "a date that is none": (
        b"trace/1",
        b'{"event_id":"e","trace":{"trace_id":"t","project":"p","started_at":"yesterday"}}',
    ),
    "almost as large as messages may be": (
        b"trace/1",
        _GOOD % (b'{"s":"%s"}' % (b"x" * ((1 << 20) - 120))),
    ),
}


def _message(schema: bytes | None, value: bytes) -> Message:
    headers = () if schema is None else (("schema", schema),)
    odd = (("traceparent", b"\xff not a parent \x00"), ("dlq.reason", b"an older one"))
    return Message("in", b"\x00\xff", value, headers + odd)


@pytest.fixture(params=HOSTILE)
def hostile(request: pytest.FixtureRequest) -> Message:
    return _message(*HOSTILE[request.param])


@pytest.fixture
def all_hostile() -> list[Message]:
    return [_message(*item) for item in HOSTILE.values()]


GOOD_KEY = b"airline/t-"


async def test_after_a_hostile_message_good_ones_get_through(
    log, hostile, well_formed, wrapping, make_loop, running, arrived
):
    await log.publish([well_formed(1), hostile, well_formed(2)])
    async with running(make_loop(log, wrapping())):
        await arrived(log, "out", 2, GOOD_KEY)
        await log.publish([well_formed(3)])
        passed = await arrived(log, "out", 3, GOOD_KEY)
        letters = await log.browse("in.dlq", limit=10)
    assert [record.key for record in passed] == [b"airline/t-1", b"airline/t-2", b"airline/t-3"]
    for letter in letters:
        assert letter.value == hostile.value
        assert letter.key == hostile.key
        kept = [header for header in letter.headers if not header[0].startswith("dlq.")]
        assert kept == [header for header in hostile.headers if not header[0].startswith("dlq.")]
        assert letter.header("dlq.reason") in {
            "undecodable",
            "unknown_schema",
            "handler_error",
            "too_large",
        }
        assert letter.header("dlq.detail")


async def test_all_hostile_messages_at_once_are_each_parked_or_passed_on(
    log, all_hostile, well_formed, wrapping, make_loop, running, arrived
):
    good = [well_formed(n) for n in range(30)]
    mixed = [*all_hostile, *good]
    random.Random(7).shuffle(mixed)
    for message in mixed:
        await log.publish([message])
    async with running(make_loop(log, wrapping())):
        passed = await arrived(log, "out", 30, GOOD_KEY)
        await log.publish([well_formed(99)])  # what came before it has been decided when it is out
        await arrived(log, "out", 31, GOOD_KEY)
    assert {record.key for record in passed} == {message.key for message in good}
    out, letters = [await log.browse(topic, limit=999) for topic in ("out", "in.dlq")]
    assert len(out) + len(letters) == len(mixed) + 1


@given(value=st.binary(max_size=300), schema=st.sampled_from([*envelope.SCHEMAS, "", "trace/9"]))
def test_no_bytes_make_decoding_raise_anything_else(value, schema):
    with suppress(Undecodable):
        envelope.decode_body(schema, value)


@pytest.mark.parametrize("schema", envelope.SCHEMAS)
@pytest.mark.parametrize("body", [b"{}", b"[]", b"null", b'""', b"0", b"{"])
def test_an_event_needs_its_fields(schema, body):
    with pytest.raises(Undecodable, match=f"not a {schema} event"):
        envelope.decode_body(schema, body)
