"""Compiled models on the disk: one folder each, and what is known about it in its manifest."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

import msgspec

from dedup.encoders.identity import COMPILED_BACKEND, SHORT_HASH, EncoderSpec, Identity, parsed
from dedup.encoders.port import ModelRefused
from dedup.encoders.weights import BUNDLED_MODEL, BUNDLED_SHA256, local_reference, sha256_of

MANIFEST = "manifest.json"
MODEL_FILE = "model.onnx"
TOKENIZER_FILE = "tokenizer.json"
UNFINISHED = ".compiling-"
"""How the name of a folder begins that is being written, or that was when its process was killed."""


class Agreement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Cosines between the compiled model's vectors and the reference's, over a sample of texts."""

    mean: float
    minimum: float
    texts: int


class Bound(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The least agreement with which a compiled model is taken."""

    mean: float = 0.99
    minimum: float = 0.97

    def holds(self, agreement: Agreement) -> bool:
        """Whether the agreement is enough; one that is not a number never is."""
        return agreement.mean >= self.mean and agreement.minimum >= self.minimum


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about a compiled model.

    Hashes are SHA-256 in hexadecimal: `reference_sha256` of the weights it was made from, `sha256` of
    the compiled file. `window`: tokens read at once, those that begin and end a text included.
    `prompt`: what the model wants before every text. `unknown`: the token for what is not in the
    vocabulary. `sample`: where the texts came from that the two were compared on.
    """

    format: int = 1
    model: str
    revision: str
    reference_sha256: str
    sha256: str
    tokenizer_sha256: str
    window: int
    dimension: int
    prompt: str
    unknown: str
    english_only: bool
    bound: Bound
    agreement: Agreement
    sample: str
    made: datetime
    versions: Mapping[str, str]

    @property
    def identity(self) -> str:
        """The encoder's identity."""
        backend = f"{COMPILED_BACKEND}@{self.sha256[:SHORT_HASH]}"
        return str(Identity(self.model, self.revision, backend))

    @property
    def folder_name(self) -> str:
        """What its folder is called. A name of the hub has a slash, and a folder's must not."""
        return f"{_as_file_name(self.model)}-{self.sha256[:SHORT_HASH]}"


class Compiled(msgspec.Struct, frozen=True):
    """A compiled model whose files are what its manifest says."""

    folder: Path
    manifest: Manifest


def again(model: str) -> str:
    """What to do about a compiled model that cannot be used."""
    named = model == BUNDLED_MODEL or "/" in model
    return (
        f"Run `evalratchet models compile {model} --again`."
        if named
        else f"Run `evalratchet models compile FOLDER --again` with the folder that {model} is in."
    )


def folders(models: Path) -> Iterator[Path]:
    """The folders of compiled models, in order of their names; none that is being written."""
    if models.is_dir():
        for folder in sorted(models.iterdir()):
            if folder.is_dir() and not folder.name.startswith("."):
                yield folder


def read_manifest(folder: Path) -> Manifest:
    """What the folder says about itself. Its files are not looked at.

    Raises:
        ModelRefused: there is no manifest, or it is none.
    """
    file = folder / MANIFEST
    model = folder.name.rpartition("-")[0].replace("--", "/")
    try:
        manifest = msgspec.json.decode(file.read_bytes(), type=Manifest)
    except FileNotFoundError as error:
        message = (
            f"the compiled model in {folder} has no {MANIFEST}: it is incomplete, and is refused. "
            f"{again(model)}"
        )
        raise ModelRefused(message) from error
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        message = (
            f"{file} cannot be read ({error}), so the compiled model is refused. {again(model)}"
        )
        raise ModelRefused(message) from error
    if manifest.format != 1:
        message = (
            f"the compiled model in {folder} was made by a newer version of evalratchet (format "
            f"{manifest.format}; this one reads 1). {again(model)}"
        )
        raise ModelRefused(message)
    return manifest


def verified(folder: Path) -> Compiled:
    """The compiled model in this folder, its files checked against the manifest's hashes; 0.1 s.

    Raises:
        ModelRefused: a file is missing or another; says which, and what to run.
    """
    manifest = read_manifest(folder)
    wanted = ((MODEL_FILE, manifest.sha256), (TOKENIZER_FILE, manifest.tokenizer_sha256))
    for name, expected in wanted:
        file = folder / name
        try:
            found = sha256_of(file)
        except OSError as error:
            message = (
                f"the compiled model's {file} cannot be read ({error}). {again(manifest.model)}"
            )
            raise ModelRefused(message) from error
        if found != expected:
            message = (
                f"{file} has SHA-256 {found}, not {expected} as its manifest says: it was changed "
                f"or cut off, and is refused. {again(manifest.model)}"
            )
            raise ModelRefused(message)
    return Compiled(folder, manifest)


def find(models: Path, spec: EncoderSpec, model: str) -> Compiled | None:
    """The compiled form of a model, verified; None where it was never compiled.

    With the spec's identity it is that very file. Otherwise it was made from the reference as that is
    now, where it is there; of several, the one made last.

    Args:
        models: the folder of compiled models.
        spec: what is wanted.
        model: what the model is called in identities.

    Raises:
        ModelRefused: it is there, but cannot be used; says what to run.
    """
    mine = [folder for folder in folders(models) if is_of(folder, model)]
    if spec.identity is not None:
        digits = parsed(spec.identity).compiled_hash
        mine = [folder for folder in mine if folder.name.endswith(f"-{digits}")]
        return verified(mine[0]) if mine else None
    read = [(folder, read_manifest(folder)) for folder in mine]
    current = _current_weights(spec.model)
    fitting = [
        one
        for one in read
        if current is None or current in (one[1].revision, one[1].reference_sha256)
    ]
    if not fitting:
        return None
    return verified(max(fitting, key=lambda one: one[1].made)[0])


def is_of(folder: Path, model: str) -> bool:
    """Whether the folder is of this model, by its name: its manifest may be gone."""
    return folder.name.rpartition("-")[0] == _as_file_name(model)


def _current_weights(name: str) -> str | None:
    """What tells the reference's present files from others; None where they are not in a folder."""
    if name == BUNDLED_MODEL:
        return (
            BUNDLED_SHA256  # checked when it was compiled: the file itself need not be read again
        )
    reference = local_reference(name)
    return None if reference is None else reference.revision


def _as_file_name(model: str) -> str:
    return model.replace("/", "--")
