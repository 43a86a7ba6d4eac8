"""Bodies that are decompressed while they stream in give what they give as a whole."""

import contextlib
import gzip
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.http.inflate import STEP, Inflating, TooManyBytes, decompressed


def raw_deflate(body: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(body) + compressor.flush()


PACKED = {"gzip": gzip.compress, "zlib": zlib.compress, "deflate": raw_deflate}


@given(body=st.binary(max_size=4000), way=st.sampled_from(sorted(PACKED)), data=st.data())
def test_however_a_body_is_cut_the_result_is_the_same(
    body: bytes, way: str, data: st.DataObject
) -> None:
    packed = PACKED[way](body)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(packed)), max_size=6)))
    grown: list[int] = []
    inflating = Inflating("gzip" if way == "gzip" else "deflate", 4000, grown.append)
    for start, end in zip([0, *cuts], [*cuts, len(packed)], strict=True):
        inflating.feed(packed[start:end])
        while inflating.step():
            pass
    assert inflating.result() == body
    assert sum(grown) == len(body)


@given(garbage=st.binary(max_size=300), encoding=st.sampled_from(["gzip", "deflate"]))
def test_garbage_gives_a_body_or_one_of_two_errors(garbage: bytes, encoding: str) -> None:
    with contextlib.suppress(zlib.error, TooManyBytes):
        assert len(decompressed(garbage, encoding, 1000)) <= 1000


@pytest.mark.parametrize("size", [STEP - 1, STEP, STEP + 1, 3 * STEP])
def test_results_as_large_as_a_step_are_whole(size: int) -> None:
    body = random.Random(size).randbytes(size)
    for encoding, way in (("gzip", "gzip"), ("deflate", "zlib"), ("deflate", "deflate")):
        assert decompressed(PACKED[way](body), encoding, size) == body
        with pytest.raises(TooManyBytes):
            decompressed(PACKED[way](body + b"x"), encoding, size)


def test_a_deflate_body_of_one_byte_or_none_is_incomplete() -> None:
    for body in (b"", b"\x78"):
        with pytest.raises(zlib.error, match="before it is complete"):
            decompressed(body, "deflate", 100)
