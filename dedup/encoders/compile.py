"""Makes the compiled form of a reference model, and says how far the two agree."""

from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import msgspec
import numpy as np

from dedup.encoders.compiled import (
    MANIFEST,
    MODEL_FILE,
    TOKENIZER_FILE,
    Agreement,
    Bound,
    Compiled,
    Manifest,
)
from dedup.encoders.graph import exported
from dedup.encoders.identity import parsed
from dedup.encoders.onnx import OnnxEncoder
from dedup.encoders.port import ModelRefused
from dedup.encoders.reference import ReferenceEncoder
from dedup.encoders.weights import sha256_of
from dedup.legible import legible

_SHAPES = frozenset(
    {"bert", "roberta", "xlm-roberta", "distilbert", "electra", "camembert", "mpnet"}
)
"""`model_type`s whose graphs ONNX Runtime's optimiser knows as BERT's."""


def compile_into(
    folder: Path, name: str, *, texts: Sequence[str], sample: str, bound: Bound, made: datetime
) -> Manifest:
    """Write the compiled model and its manifest into an empty folder.

    Args:
        folder: where to write; whoever calls makes it visible when this returns, or deletes it.
        name: the bundled model, or what sentence-transformers loads by name or from a folder.
        texts: what the two are compared on.
        sample: where the texts come from, for the manifest.
        bound: the least agreement.
        made: the time, for the manifest.

    Raises:
        ModelRefused: it cannot be loaded, is of no shape that can be compiled, or agrees too little.
    """
    reference = ReferenceEncoder(name, threads=2)
    _check_shape(reference, name)
    reference.tokenizer.save(str(folder / TOKENIZER_FILE))
    comparable = _comparable(texts, reference)
    theirs = reference.encode(comparable)
    with exported(reference, name, folder) as graph:
        for int8_attention in (True, False):  # the second is slower, and agrees more
            graph.write(folder / MODEL_FILE, int8_attention=int8_attention)
            unmeasured = _manifest(folder, reference, sample=sample, bound=bound, made=made)
            ours = OnnxEncoder(Compiled(folder, unmeasured)).encode(comparable)
            agreement = agreement_of(ours, theirs)
            if bound.holds(agreement):
                break
    _check_agreement(name, agreement, bound)
    manifest = msgspec.structs.replace(unmeasured, agreement=agreement)
    document = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    (folder / MANIFEST).write_bytes(document + b"\n")
    return manifest


def agreement_of(ours: np.ndarray, theirs: np.ndarray) -> Agreement:
    """How far two encoders agree, text by text. Both have shape (texts, d), float32, unit rows."""
    cosines = np.einsum("nd,nd->n", ours, theirs, dtype=np.float64)
    return Agreement(float(cosines.mean()), float(cosines.min()), len(cosines))


def _comparable(texts: Sequence[str], reference: ReferenceEncoder) -> list[str]:
    """The texts that the model reads: the others' vectors are drawn, and agree by themselves.

    Raises:
        ModelRefused: it reads none.
    """
    if not reference.english_only:
        return list(texts)

    def pieces(text: str) -> Sequence[str]:
        tokens: list[str] = reference.tokenizer.encode(text, add_special_tokens=False).tokens
        return tokens

    read = [text for text in texts if legible(text, pieces, unknown=reference.unknown)]
    if not read:
        message = (
            "the model reads none of the sample's texts. Give --sample a file of English texts."
        )
        raise ModelRefused(message)
    return read


def _check_agreement(name: str, agreement: Agreement, bound: Bound) -> None:
    """Raises ModelRefused: too little."""
    if bound.holds(agreement):
        return
    message = (
        f"the compiled {name} agrees too little with its reference: cosine {agreement.mean:.4f} on "
        f"average and {agreement.minimum:.4f} at worst over {agreement.texts} texts, where at least "
        f"{bound.mean:g} and {bound.minimum:g} are wanted. Nothing was kept. Use the model as it is "
        "(EVALRATCHET_EMBEDDING_BACKEND=sentence-transformers), or lower --bound."
    )
    raise ModelRefused(message)


def _check_shape(reference: ReferenceEncoder, name: str) -> None:
    """Raises ModelRefused: the model is of no shape that can be compiled."""
    model = reference.model
    kinds = [type(module).__name__ for module in model]
    config = getattr(getattr(model[0], "auto_model", None), "config", None)
    reason = None
    if kinds[0] != "Transformer" or config is None:
        reason = f"it begins with {kinds[0]}, not with a transformer"
    elif config.model_type not in _SHAPES:
        reason = f"it is a {config.model_type}, not of BERT's shape ({', '.join(sorted(_SHAPES))})"
    elif "Pooling" not in kinds:
        reason = f"it does not pool its tokens' vectors (it is made of {', '.join(kinds)})"
    elif reference.tokenizer is None or reference.window is None:
        reason = "its tokenizer is none that the tokenizers library runs, or it has no limit"
    elif getattr(model, "truncate_dim", None) is not None:
        reason = "it cuts its vectors' dimensions"
    elif reference.prompt and not getattr(model[kinds.index("Pooling")], "include_prompt", True):
        reason = "it leaves its prompt out of the pooling"
    if reason is not None:
        message = (
            f"embedding model {name!r} cannot be compiled: {reason}. Use it as it is, with "
            "EVALRATCHET_EMBEDDING_BACKEND=sentence-transformers."
        )
        raise ModelRefused(message)


def _manifest(
    folder: Path, reference: ReferenceEncoder, *, sample: str, bound: Bound, made: datetime
) -> Manifest:
    identity = parsed(reference.identity)
    return Manifest(
        model=identity.model,
        revision=identity.revision,
        reference_sha256=reference.source.weights_sha256,
        sha256=sha256_of(folder / MODEL_FILE),
        tokenizer_sha256=sha256_of(folder / TOKENIZER_FILE),
        window=reference.window or 0,
        dimension=reference.dimension,
        prompt=reference.prompt,
        unknown=reference.unknown,
        english_only=reference.english_only,
        bound=bound,
        agreement=Agreement(0.0, 0.0, 0),
        sample=sample,
        made=made,
        versions={
            name: version(name)
            for name in ("onnx", "onnxruntime", "sentence-transformers", "tokenizers", "torch")
        },
    )
