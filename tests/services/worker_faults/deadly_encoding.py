"""Stands in for the worker's encoding; imported by the worker process too, so it is a file."""

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dedup.encoders.identity import EncoderSpec
from dedup.encoders.port import ModelRefused
from services import embedding_worker

_encode = embedding_worker.encode


def encode(texts: Sequence[str]) -> np.ndarray:
    """As the real one, but some words kill the worker, hang it, or give nonsense."""
    whole = " ".join(texts)
    if "poison" in whole:
        os.kill(os.getpid(), signal.SIGKILL)
    if "sleepy" in whole:
        time.sleep(60)
    if "enormous" in whole:
        raise MemoryError
    vectors = _encode(texts)
    for row, text in enumerate(texts):
        if "not a number" in text:
            vectors[row, 0] = np.nan
        if "too long" in text:
            vectors[row] *= 2
    return vectors


def run_out_of_memory(spec: EncoderSpec, models: Path, threads: int) -> str:
    """Stands in for loading a model on a machine that is too small at the moment."""
    raise MemoryError


def refuse(spec: EncoderSpec, models: Path, threads: int) -> str:
    """Stands in for loading a model that cannot be used."""
    message = (
        f"embedding model {spec.model!r} cannot be loaded with {threads} threads. Choose another."
    )
    raise ModelRefused(message)
