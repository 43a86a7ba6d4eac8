"""What an encoder is to whoever uses it."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np


class ModelRefused(RuntimeError):
    """The model cannot be used; the message says why and what to do."""


class Encoder(Protocol):
    """A loaded model."""

    @property
    def identity(self) -> str:
        """`{model}@{revision}/{backend}`: vectors of two identities are never compared."""

    @property
    def concurrent(self) -> bool:
        """Whether `encode` computes on the thread that calls it, and any number may call it."""

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Shape (len(texts), d), float32. Rows have unit length unless the model gave nonsense."""
