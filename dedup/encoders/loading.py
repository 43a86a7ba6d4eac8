"""From what is wanted to a loaded encoder."""

from pathlib import Path

from dedup.encoders.compiled import Compiled, find
from dedup.encoders.hashing import HashingEncoder
from dedup.encoders.identity import HASHING_MODEL, EncoderSpec, parsed
from dedup.encoders.port import Encoder, ModelRefused
from dedup.encoders.weights import shown_name


def load_encoder(spec: EncoderSpec, *, models: Path, threads: int) -> Encoder:
    """Load the encoder that the spec asks for.

    Args:
        spec: which one.
        models: the folder of compiled models; it need not be there.
        threads: of the reference backend; a compiled model computes on the threads that call it.

    Raises:
        ModelRefused: it is not there, its files are not the ones that are meant, or it has another
            identity than the spec asks for.
    """
    encoder = _loaded(spec, models, threads)
    if spec.identity is not None and encoder.identity != spec.identity:
        message = (
            f"embedding model {spec.model!r} is {encoder.identity} now, but vectors of {spec.identity} "
            "are wanted: the two must not be compared. Bring that model's files back, or move to the "
            "present one with `evalratchet dedup reembed`."
        )
        raise ModelRefused(message)
    return encoder


def compiled_of(spec: EncoderSpec, models: Path) -> Compiled | None:
    """The compiled model that a spec asks for; None where it asks for none, or `auto` finds none.

    Raises:
        ModelRefused: it must be compiled and is not, or it is and cannot be used.
    """
    if spec.model == HASHING_MODEL or spec.backend == "sentence-transformers":
        return None
    found = find(models, spec, _name(spec))
    if found is None and spec.backend == "onnx":
        what = spec.model if spec.identity is None else spec.identity
        otherwise = (
            f"Run `evalratchet models compile {spec.model}`, or set EVALRATCHET_EMBEDDING_BACKEND=auto."
            if spec.identity is None
            else "Copy its folder there from a machine that has it, or move to another encoder with "
            "`evalratchet dedup reembed`."
        )
        message = f"there is no compiled {what} in {models}. {otherwise}"
        raise ModelRefused(message)
    return found


def _loaded(spec: EncoderSpec, models: Path, threads: int) -> Encoder:
    if spec.model == HASHING_MODEL:
        return HashingEncoder()
    compiled = compiled_of(spec, models)
    if compiled is not None:
        from dedup.encoders.onnx import OnnxEncoder  # noqa: PLC0415 - ONNX Runtime only where it runs

        return OnnxEncoder(compiled)
    from dedup.encoders.reference import ReferenceEncoder  # noqa: PLC0415 - not where it is not needed

    return ReferenceEncoder(spec.model, threads=threads)


def _name(spec: EncoderSpec) -> str:
    return shown_name(spec.model) if spec.identity is None else parsed(spec.identity).model
