"""Makes the compiled form of a reference model, and says how far the two agree.

Export by TorchScript (the newer exporter's graph is not fused), fuse, then quantise weights to signed
int8, per channel; activations are quantised as they come. On 600 real queries the cosine with the
reference was 0.994 on average and 0.984 at worst; with a scale per tensor instead of per channel,
0.968 and 0.928.
"""

import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

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
from dedup.encoders.identity import parsed
from dedup.encoders.onnx import OnnxEncoder
from dedup.encoders.port import Encoder, ModelRefused
from dedup.encoders.reference import ReferenceEncoder
from dedup.encoders.weights import sha256_of
from dedup.legible import legible

_SHAPES = frozenset(
    {"bert", "roberta", "xlm-roberta", "distilbert", "electra", "camembert", "mpnet"}
)
"""`model_type`s whose graphs ONNX Runtime's optimiser knows as BERT's."""
_OPSET = 17  # the newest that the TorchScript exporter writes without converting
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


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
    try:
        with _quietly():
            _export(reference, folder / MODEL_FILE)
    except Exception as error:
        message = (
            f"embedding model {name!r} cannot be compiled: {type(error).__name__}: {error}. "
            "Use it as it is, with EVALRATCHET_EMBEDDING_BACKEND=sentence-transformers."
        )
        raise ModelRefused(message) from error
    reference.tokenizer.save(str(folder / TOKENIZER_FILE))
    unmeasured = _manifest(folder, reference, sample=sample, bound=bound, made=made)
    compiled = OnnxEncoder(Compiled(folder, unmeasured))
    agreement = agreement_of(compiled, reference, _comparable(texts, reference))
    _check_agreement(name, agreement, bound)
    manifest = msgspec.structs.replace(unmeasured, agreement=agreement)
    document = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    (folder / MANIFEST).write_bytes(document + b"\n")
    return manifest


def agreement_of(one: Encoder, other: Encoder, texts: Sequence[str]) -> Agreement:
    """How far two encoders agree, text by text; both give unit vectors of the same dimension."""
    cosines = np.einsum("nd,nd->n", one.encode(texts), other.encode(texts), dtype=np.float64)
    return Agreement(float(cosines.mean()), float(cosines.min()), len(texts))


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


def _export(reference: ReferenceEncoder, target: Path) -> None:
    """Export, fuse and quantise. Raises whatever these libraries raise."""
    import onnx  # noqa: PLC0415 - seconds; only here
    import torch  # noqa: PLC0415 - the same
    from onnxruntime.quantization import QuantType, quantize_dynamic  # noqa: PLC0415 - the same
    from onnxruntime.quantization.quant_utils import add_pre_process_metadata  # noqa: PLC0415
    from onnxruntime.transformers import optimizer  # noqa: PLC0415 - the same

    transformer = reference.model[0].auto_model
    transformer.set_attn_implementation("eager")  # whose graph the optimiser knows; the same sums
    names = [one for one in _INPUTS if one in reference.model.tokenizer.model_input_names]
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        exported, fused = Path(scratch, "exported.onnx"), Path(scratch, "fused.onnx")
        with torch.no_grad():
            torch.onnx.export(
                _graph(reference.model, names),
                tuple(torch.ones((2, 8), dtype=torch.int64) for _ in names),
                str(exported),
                input_names=names,
                output_names=["vector"],
                dynamic_axes={name: {0: "texts", 1: "tokens"} for name in names}
                | {"vector": {0: "texts"}},
                opset_version=_OPSET,
                dynamo=False,
            )
        config = transformer.config
        graph = optimizer.optimize_model(
            str(exported),
            model_type="bert",
            num_heads=config.num_attention_heads,
            hidden_size=config.hidden_size,
        )
        add_pre_process_metadata(graph.model)  # it is: without this the quantiser says it should be
        graph.save_model_to_file(str(fused))
        quantize_dynamic(
            str(fused),
            str(target),
            per_channel=True,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["MatMul", "Attention"],
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
        )


def _graph(model: Any, names: Sequence[str]) -> Any:
    """The whole model from tokens to a unit vector, as one module whose inputs have a place each."""
    import torch  # noqa: PLC0415 - seconds; only here

    class Whole(torch.nn.Module):  # type: ignore[misc, unused-ignore]  # torch's classes are untyped
        def __init__(self) -> None:
            super().__init__()
            self.parts = model

        def forward(self, *inputs: Any) -> Any:
            features = dict(zip(names, inputs, strict=True))
            for part in self.parts:
                features = part(features)
            return torch.nn.functional.normalize(features["sentence_embedding"], dim=1)

    return Whole().eval()


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


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the warnings of tracing and of the older exporter, which is the one that is meant."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
