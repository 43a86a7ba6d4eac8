"""The liveness invariant: after any hostile payload, well-formed data still gets through."""

import random
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.errors import Undecodable
from services.stream import envelope


async def test_after_a_hostile_message_good_ones_get_through(
    log, hostile, well_formed, wrapping, make_loop, running, arrived
):
    await log.publish([well_formed(1), hostile, well_formed(2)])
    async with running(make_loop(log, wrapping())):
        await arrived(log, "out", 2)
        await log.publish([well_formed(3)])
        passed = [
            record.key for record in await arrived(log, "out", 3) if record.key != b"airline/t"
        ]
        letters = await log.browse("in.dlq", limit=10)
    assert [key for key in passed if key.startswith(b"airline/t-")] == [
        b"airline/t-1",
        b"airline/t-2",
        b"airline/t-3",
    ]
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
        while len(await log.browse("out", limit=999)) + len(
            await log.browse("in.dlq", limit=999)
        ) < len(mixed):
            await arrived(log, "out", 30)
    passed = {record.key for record in await log.browse("out", limit=999)}
    assert {message.key for message in good} <= passed


@given(value=st.binary(max_size=300), schema=st.sampled_from([*envelope.SCHEMAS, "", "trace/9"]))
def test_no_bytes_make_decoding_raise_anything_else(value, schema):
    with suppress(Undecodable):
        envelope.decode_body(schema, value)


@pytest.mark.parametrize("schema", envelope.SCHEMAS)
@pytest.mark.parametrize("body", [b"{}", b"[]", b"null", b'""', b"0", b"{"])
def test_an_event_needs_its_fields(schema, body):
    with pytest.raises(Undecodable, match=f"not a {schema} event"):
        envelope.decode_body(schema, body)
