"""`models compile` and `models list`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from dedup.encoders.compiled import Bound, Compiled, Manifest, folders, read_manifest, verified
from dedup.encoders.identity import HASHING_MODEL, EncoderSpec
from dedup.encoders.loading import compiled_of
from dedup.encoders.port import ModelRefused
from services.cli.opened import effective_settings
from services.cli.output import print_fields, print_json, print_table, when
from services.cli.problem import misused, note, refuse
from services.compiled_models import compiling, keep
from services.settings import PREFIX, Settings

_WORST_BELOW_MEAN = 0.02  # of 600 real queries the worst was 0.01 below the mean


def compile_model(
    name: str | None, *, sample: Path | None, bound: float | None, again: bool, as_json: bool
) -> None:
    """Compile a model, unless it is compiled and nothing else is asked for."""
    settings = effective_settings()
    name = name or settings.embedding_model
    if name == HASHING_MODEL:
        note(f"The model {HASHING_MODEL} has no weights: there is nothing to compile.")
        return
    wanted = Bound() if bound is None else Bound(bound, round(bound - _WORST_BELOW_MEAN, 6))
    texts, origin = _texts(sample)
    try:
        with compiling(settings.models_folder):
            there = None if again else _there(settings, name, wanted, origin)
            if there is None:
                note(f"Compiling {name}: half a minute, once.")
                folder = _compile(settings.models_folder, name, texts, origin, wanted)
            else:
                folder = there.folder
            _show(verified(folder), as_json=as_json, new=there is None)
    except ModelRefused as error:
        refuse(f"The model {name} is not compiled.", str(error))
    except OSError as error:
        misused(
            f"The compiled model cannot be kept in {settings.models_folder}.",
            f"{error}. Set {PREFIX}HOME or {PREFIX}MODELS to a folder that can be written to.",
        )


def list_models(*, as_json: bool) -> None:
    """List what is in the folder of compiled models."""
    settings = effective_settings()
    chosen, problem = _chosen(settings)
    rows = [_row(folder, chosen) for folder in folders(settings.models_folder)]
    if as_json:
        print_json({"models": rows, "chosen": _backend(settings, chosen), "problem": problem})
    elif rows:
        columns = ["model", "used", "cosine", "worst", "MB", "made", "encoder or what is wrong"]
        print_table(columns, [_cells(row) for row in rows], flexible=columns[-1])
    else:
        note(f"No model is compiled in {settings.models_folder}. Run `evalratchet models compile`.")
    if problem is not None:
        refuse("What the settings choose cannot be used.", problem)
    if any(row["problem"] for row in rows):
        refuse(
            "Some compiled models cannot be used.", "Compile them again, or delete their folders."
        )


def _compile(models: Path, name: str, texts: list[str], origin: str, bound: Bound) -> Path:
    from dedup.encoders.compile import compile_into  # noqa: PLC0415 - see app.py

    now = datetime.now(UTC)

    def make(folder: Path) -> Manifest:
        return compile_into(folder, name, texts=texts, sample=origin, bound=bound, made=now)

    return keep(models, make)


def _texts(sample: Path | None) -> tuple[list[str], str]:
    """What to compare on, and where it is from. Raises `Problem`."""
    if sample is None:
        from dedup.encoders.sample import SAMPLE, sample_texts  # noqa: PLC0415 - see app.py

        return sample_texts(), SAMPLE
    try:
        lines = sample.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        misused(
            f"The sample {sample} cannot be read.", f"{error}. It is to be UTF-8, a text a line."
        )
    texts = [line for line in lines if line.strip()]
    if not texts:
        misused(f"The sample {sample} is empty.", "It is to have one text on each line.")
    return texts, sample.name


def _there(settings: Settings, name: str, bound: Bound, origin: str) -> Compiled | None:
    """The compiled model, where it is whole and would be taken with this bound and sample."""
    try:
        found = compiled_of(EncoderSpec(name, "auto"), settings.models_folder)
    except ModelRefused as error:
        note(f"{error}")
        return None
    if found is None or found.manifest.sample != origin:
        return None
    return found if bound.holds(found.manifest.agreement) else None


def _show(compiled: Compiled, *, as_json: bool, new: bool) -> None:
    manifest = compiled.manifest
    if as_json:
        print_json({"new": new, "folder": str(compiled.folder)} | _shown(manifest))
        return
    agreement = manifest.agreement
    print_fields(
        [
            ("model", manifest.model),
            ("encoder", manifest.identity),
            (
                "cosine",
                f"{agreement.mean:.4f} mean, {agreement.minimum:.4f} at worst, with the reference",
            ),
            ("sample", f"{agreement.texts} texts, {manifest.sample}"),
            ("reference", f"SHA-256 {manifest.reference_sha256}"),
            ("compiled", f"SHA-256 {manifest.sha256}"),
            ("folder", str(compiled.folder)),
            ("made", when(manifest.made) + ("" if new else " (it was compiled already)")),
        ]
    )


def _shown(manifest: Manifest) -> dict[str, Any]:
    return {"encoder": manifest.identity, **msgspec.to_builtins(manifest)}


def _chosen(settings: Settings) -> tuple[Compiled | None, str | None]:
    """The compiled model that the settings choose, or why that cannot be."""
    spec = EncoderSpec(settings.embedding_model, settings.embedding_backend)
    try:
        return compiled_of(spec, settings.models_folder), None
    except ModelRefused as error:
        return None, str(error)


def _backend(settings: Settings, chosen: Compiled | None) -> dict[str, Any]:
    return {
        "model": settings.embedding_model,
        "backend": settings.embedding_backend,
        "compiled": None if chosen is None else chosen.manifest.identity,
    }


def _row(folder: Path, chosen: Compiled | None) -> dict[str, Any]:
    row: dict[str, Any] = {"folder": str(folder), "used": False, "problem": None}
    try:
        row |= _shown(read_manifest(folder))
        verified(folder)
    except ModelRefused as error:
        row["problem"] = str(error)
    row["bytes"] = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    row["used"] = chosen is not None and chosen.folder == folder
    return row


def _cells(row: dict[str, Any]) -> list[str]:
    agreement = row.get("agreement")
    made = row.get("made")
    return [
        str(row.get("model", Path(row["folder"]).name)),
        "yes" if row["used"] else "no",
        "" if agreement is None else f"{agreement['mean']:.4f}",
        "" if agreement is None else f"{agreement['minimum']:.4f}",
        f"{row['bytes'] / 1e6:.0f}",
        "" if made is None else made[:10],
        row["problem"] or row["encoder"],
    ]
