"""What runs in the embedding worker's process: one encoder, and the threads that a compiled one uses.

Imports nothing that serving needs, so that the process is as small as its model.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from dedup.encoders.identity import EncoderSpec
from dedup.encoders.loading import load_encoder
from dedup.encoders.port import Encoder

_encoder: Encoder | None = None
_lanes: ThreadPoolExecutor | None = None


def load(spec: EncoderSpec, models: Path, threads: int) -> str:
    """Load the encoder for the life of this process; its identity. Raises `ModelRefused`."""
    global _encoder, _lanes  # noqa: PLW0603 - one model for the life of the worker process
    _encoder = load_encoder(spec, models=models, threads=threads)
    _lanes = ThreadPoolExecutor(threads) if _encoder.concurrent and threads > 1 else None
    encode(["warm up"] * threads)
    return _encoder.identity


def encode(texts: Sequence[str]) -> np.ndarray:
    """Shape (len(texts), d), float32: the texts' vectors, in their order."""
    if _encoder is None:
        message = "the worker was asked to embed before it loaded a model"
        raise RuntimeError(message)
    if _lanes is None or len(texts) < 2:  # noqa: PLR2004 - nothing to share
        return _encoder.encode(texts)
    longest_first = sorted(range(len(texts)), key=lambda n: len(texts[n]), reverse=True)
    encode_one = _encoder.encode
    found = _lanes.map(lambda n: encode_one([texts[n]])[0], longest_first)
    rows = dict(zip(longest_first, found, strict=True))  # so that the threads end together
    return np.stack([rows[n] for n in range(len(texts))])
