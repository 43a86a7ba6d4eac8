"""Compressed bodies, and bombs among them."""

import gzip
import resource
import time
import zlib
from typing import Any

import httpx
import pytest

from services.http.inflate import TooManyBytes, decompressed

TRACE = b'{"trace_id":"t","project":"p"}'


def raw_deflate(body: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(body) + compressor.flush()


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(TRACE)),
        ("GZIP", gzip.compress(TRACE)),
        ("gzip", gzip.compress(TRACE[:9]) + gzip.compress(TRACE[9:])),
        ("gzip", gzip.compress(TRACE) + b"\0" * 9),
        ("deflate", zlib.compress(TRACE)),
        ("deflate", raw_deflate(TRACE)),
        ("identity", TRACE),
        ("", TRACE),
    ],
)
async def test_every_way_of_compressing_gives_the_same_event(
    client: httpx.AsyncClient, publisher: Any, encoding: str, body: bytes
) -> None:
    headers = {"content-type": "application/json", "content-encoding": encoding}
    response = await client.post("/v1/captures", content=body, headers=headers)
    assert response.status_code == 202, response.text
    assert publisher.events[0].trace_id == "t"


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_bomb_is_refused_in_the_memory_and_time_of_the_limit(encoding: str) -> None:
    """256 MiB of zeros in little more than one; the limit of 20 MiB is all that is unpacked."""
    wbits = 31 if encoding == "gzip" else 15
    compressor = zlib.compressobj(1, wbits=wbits)
    block = bytes(1 << 20)
    bomb = b"".join(compressor.compress(block) for _ in range(256)) + compressor.flush()
    limit = 20 << 20
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    with pytest.raises(TooManyBytes):
        decompressed(bomb, encoding, limit)
    assert time.process_time() - began < 1.0
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 3 * limit


def test_a_gzip_body_of_many_members_is_refused_before_it_costs_time() -> None:
    """Each member costs a copy of all that follows: a million of them would take minutes."""
    began = time.process_time()
    with pytest.raises(zlib.error, match="more than 64 members"):
        decompressed(gzip.compress(b"x", mtime=0) * 1_000_000, "gzip", 20 << 20)
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize("size", [0, 1, 999, 1000])
def test_a_body_up_to_the_limit_is_whole_and_one_byte_more_is_too_large(size: int) -> None:
    assert decompressed(gzip.compress(b"x" * size), "gzip", 1000) == b"x" * size
    with pytest.raises(TooManyBytes):
        decompressed(gzip.compress(b"x" * 1001), "gzip", 1000)
