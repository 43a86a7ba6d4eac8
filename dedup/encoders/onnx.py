"""The compiled backend: ONNX Runtime over an int8 graph that pools and normalises by itself.

Nothing here imports torch: a process that only serves is small and starts at once.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from dedup.encoders.compiled import MODEL_FILE, TOKENIZER_FILE, Compiled, again
from dedup.encoders.port import ModelRefused
from dedup.encoders.unreadable import set_apart
from dedup.encoders.whole import Pieces, pieces_of, pooled

_ERRORS_ONLY = 3  # of ONNX Runtime's levels of severity
UNFUSED = ("SkipLayerNormFusion", "BiasSkipLayerNormFusion", "BiasGeluFusion")
"""What ONNX Runtime is not to fuse as it loads a graph: these are slower fused; see `graph`."""


class OnnxEncoder:
    """A compiled model. Each text is run by itself, on the thread that asks.

    Activations are quantised with one scale for all that is run together. In a batch of 32 a text's
    vector would depend on its neighbours (down to a cosine of 0.98 with itself run alone), and padding
    would be computed too. Alone it depends on the text only; threads are kept busy by several texts.
    """

    concurrent = True

    def __init__(self, compiled: Compiled) -> None:
        """Load it; 0.1 to 0.2 s. Raises ModelRefused."""
        import onnxruntime  # noqa: PLC0415 - whoever imports this module may want only its name
        from tokenizers import Tokenizer  # noqa: PLC0415 - the same

        self._manifest = compiled.manifest
        self.identity = compiled.manifest.identity
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        file = compiled.folder / MODEL_FILE
        try:
            self._session: Any = onnxruntime.InferenceSession(
                file,
                options,
                providers=["CPUExecutionProvider"],
                disabled_optimizers=list(UNFUSED),
            )
            self._tokenizer: Any = Tokenizer.from_file(str(compiled.folder / TOKENIZER_FILE))
        except Exception as error:
            message = f"the compiled model {file} cannot be loaded: {error}. {again(self._manifest.model)}"
            raise ModelRefused(message) from error
        self._inputs = [one.name for one in self._session.get_inputs()]
        self._window = self._manifest.window
        before = self._tokenizer.encode(self._manifest.prompt, add_special_tokens=False)
        around = self._tokenizer.num_special_tokens_to_add(is_pair=False)
        self._room = max(1, self._window - around - len(before))

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Shape (len(texts), d), float32, unit rows; long texts are read whole.

        A text that an English model cannot read gets a direction of its own, as from the reference.
        """
        if not texts:
            return np.zeros((0, self._manifest.dimension), dtype=np.float32)
        pieces = pieces_of(texts, self._tokenizer, self._room)
        rows = np.stack([self._run(ids) for ids in self._tokens_of(pieces)])
        rows = pooled(rows, pieces)
        if self._manifest.english_only:
            unknown = self._manifest.unknown
            set_apart(rows, texts, pieces.encodings, self._tokenizer, unknown=unknown)
        return rows

    def _tokens_of(self, pieces: Pieces) -> Iterator[list[int]]:
        """The numbers of each piece's tokens, with those that begin and end it."""
        around = self._tokenizer.num_special_tokens_to_add(is_pair=False)
        for text, owner, length in zip(pieces.texts, pieces.owners, pieces.lengths, strict=True):
            encoding = pieces.encodings[owner]
            if self._manifest.prompt or length != len(encoding):
                encoding = self._tokenizer.encode(
                    self._manifest.prompt + text, add_special_tokens=False
                )
            if len(encoding) > self._window - around:  # cut inside a word, it has more than before
                encoding.truncate(self._window - around)
            yield self._tokenizer.post_process(encoding).ids

    def _run(self, tokens: list[int]) -> np.ndarray:
        """The vector of a text that fits, shape (d,)."""
        ids = np.asarray([tokens], dtype=np.int64)
        fed = {
            "input_ids": ids,
            "attention_mask": np.ones_like(ids),
            "token_type_ids": np.zeros_like(ids),
        }
        (rows,) = self._session.run(None, {name: fed[name] for name in self._inputs})
        vector: np.ndarray = rows[0]
        return vector
