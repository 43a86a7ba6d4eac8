"""Stands in for the worker's encoding; imported by the worker process too, so it is a file."""

import os
import signal
import time

import numpy as np

from dedup.embedding import ModelRefused
from services import embedder

_encode = embedder._encode


def encode(texts: list[str]) -> np.ndarray:
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


def run_out_of_memory(name: str, threads: int) -> str:
    """Stands in for loading a model on a machine that is too small at the moment."""
    raise MemoryError


def refuse(name: str, threads: int) -> str:
    """Stands in for loading a model that cannot be used."""
    message = f"embedding model {name!r} cannot be loaded with {threads} threads. Choose another."
    raise ModelRefused(message)
