"""Keeps compiled models: made under a lock, seen only when they are whole."""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dedup.encoders.compiled import MANIFEST, UNFINISHED, Manifest, folders, is_of, verified
from dedup.encoders.port import ModelRefused

_LOCK = ".lock"


@contextmanager
def compiling(models: Path) -> Iterator[None]:
    """One at a time in this folder, over all processes; what a killed one left is deleted.

    Raises:
        OSError: the folder cannot be made or written to.
    """
    models.mkdir(parents=True, exist_ok=True)
    with (models / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in models.glob(f"{UNFINISHED}*"):
            shutil.rmtree(left, ignore_errors=True)
        yield


def keep(models: Path, make: Callable[[Path], Manifest]) -> Path:
    """The folder of what `make` writes into an empty one; nothing is left where it raises.

    To be called inside `compiling`.

    Raises:
        OSError: the folder cannot be written to.
    """
    folder = models / f"{UNFINISHED}{os.getpid()}"
    folder.mkdir()
    try:
        manifest = make(folder)
        for file in folder.iterdir():
            _to_disk(file)
        _to_disk(folder)
        place = _made_visible(folder, models / manifest.folder_name)
        _delete_damaged(models, manifest.model)
        return place
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _made_visible(folder: Path, place: Path) -> Path:
    """Rename to `place`. What is whole there already has the same model, and may be in use: it stays."""
    if place.exists() and _is_whole(place):
        (folder / MANIFEST).replace(place / MANIFEST)  # its sample and bound may be others
        return place
    if place.exists():
        shutil.rmtree(place)
    folder.rename(place)
    _to_disk(place.parent)
    return place


def _delete_damaged(models: Path, model: str) -> None:
    """What was refused would be refused again, although there is a whole one now."""
    for folder in folders(models):
        if is_of(folder, model) and not _is_whole(folder):
            shutil.rmtree(folder)


def _is_whole(folder: Path) -> bool:
    try:
        verified(folder)
    except ModelRefused:
        return False
    return True


def _to_disk(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
