"""The graph of a compiled model: exported, fused as its kernels are fastest, and quantised.

Exported by TorchScript: the newer exporter's graph is not fused. Weights become signed int8, per channel;
activations are quantised as they come. On 600 real queries the cosine with the reference was 0.994 on
average and 0.984 at worst; with a scale per tensor instead of per channel, 0.968 and 0.928.

Not everything that can be fused is faster fused. ONNX Runtime 1.31 takes 0.49 ms for a fused
SkipLayerNormalization of 250 tokens and 0.07 ms for the Add and LayerNormalization that it is made of, and
a bias that is not fused with what follows is added by the product before it, for nothing. So these
fusions are left out here, and kept out where the graph is loaded (`UNFUSED`).
"""

import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dedup.encoders.int8_attention import finish_attention, quantise_attention
from dedup.encoders.port import ModelRefused
from dedup.encoders.reference import ReferenceEncoder

_OPSET = 17  # the newest that the TorchScript exporter writes without converting
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class Exported:
    """A reference model's graph in float32, fused. It reads one text at a time: masks may be ignored."""

    def __init__(self, file: Path) -> None:
        """`file`: of the graph; there as long as this is used."""
        self._file = file

    def write(self, target: Path, *, int8_attention: bool) -> None:
        """Write the quantised graph.

        Raises whatever these libraries raise.
        """
        import onnx  # noqa: PLC0415 - seconds; only here
        from onnxruntime.quantization import QuantType, quantize_dynamic  # noqa: PLC0415 - the same
        from onnxruntime.quantization.quant_utils import (  # noqa: PLC0415 - the same
            add_pre_process_metadata,
        )

        model = onnx.load(self._file)
        if int8_attention:
            quantise_attention(model)
        for node in model.graph.node:
            if node.op_type == "MultiHeadAttention" and len(node.input) > 4:  # noqa: PLR2004 - its mask
                node.input[4] = ""  # one text has no padding; without a mask another kernel is used
        add_pre_process_metadata(model)  # it is: without this the quantiser says it should be
        unquantised = self._file.with_name("unquantised.onnx")
        onnx.save(model, unquantised)
        quantize_dynamic(
            str(unquantised),
            str(target),
            per_channel=True,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["MatMul", "Attention"],
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
        )
        quantised = onnx.load(target)
        finish_attention(quantised)
        onnx.save(quantised, target)


@contextmanager
def exported(reference: ReferenceEncoder, name: str, folder: Path) -> Iterator[Exported]:
    """The reference's graph, in files below `folder` that are deleted at the end.

    Raises:
        ModelRefused: the model cannot be exported, or what was exported cannot be quantised.
    """
    try:
        with tempfile.TemporaryDirectory(dir=folder) as scratch, _quietly():
            yield Exported(_fused(reference, Path(scratch)))
    except ModelRefused:
        raise
    except Exception as error:
        message = (
            f"embedding model {name!r} cannot be compiled: {type(error).__name__}: {error}. "
            "Use it as it is, with EVALRATCHET_EMBEDDING_BACKEND=sentence-transformers."
        )
        raise ModelRefused(message) from error


def _fused(reference: ReferenceEncoder, scratch: Path) -> Path:
    """Export and fuse. Raises whatever these libraries raise."""
    import torch  # noqa: PLC0415 - seconds; only here
    from onnxruntime.transformers import optimizer  # noqa: PLC0415 - the same
    from onnxruntime.transformers.fusion_options import FusionOptions  # noqa: PLC0415 - the same

    transformer = reference.model[0].auto_model
    transformer.set_attn_implementation("eager")  # whose graph the optimiser knows; the same sums
    names = [one for one in _INPUTS if one in reference.model.tokenizer.model_input_names]
    file, fused = scratch / "exported.onnx", scratch / "fused.onnx"
    with torch.no_grad():
        torch.onnx.export(
            _whole(reference.model, names),
            tuple(torch.ones((2, 8), dtype=torch.int64) for _ in names),
            str(file),
            input_names=names,
            output_names=["vector"],
            dynamic_axes={name: {0: "texts", 1: "tokens"} for name in names}
            | {"vector": {0: "texts"}},
            opset_version=_OPSET,
            dynamo=False,
        )
    options = FusionOptions("bert")
    options.use_multi_head_attention = True  # its products stay apart, to be quantised each
    options.enable_skip_layer_norm = False  # see the module's docstring
    options.enable_bias_skip_layer_norm = False
    options.enable_bias_gelu = False
    config = transformer.config
    graph = optimizer.optimize_model(
        str(file),
        model_type="bert",
        num_heads=config.num_attention_heads,
        hidden_size=config.hidden_size,
        optimization_options=options,
    )
    graph.save_model_to_file(str(fused))
    return fused


def _whole(model: Any, names: Sequence[str]) -> Any:
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


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the warnings of tracing and of the older exporter, which is the one that is meant."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
