"""Indexes as files, so that a start need not fill them from nothing. One folder a project and space.

A file is a picture of an index at one sequence number of the store, and a checksum. Whatever is wrong
with it, it is left alone and the index filled from the store: it can be deleted at any moment.
"""

import contextlib
import hashlib
import os
import re
import shutil
import time
import zlib
from pathlib import Path
from typing import BinaryIO, cast

import structlog

from dedup.index import Index, NotAnIndex

log = structlog.get_logger()

_NAME = "index.bin"
_MAGIC = b"evalratchet index\n"
_SUM_BYTES = 4
_CHUNK = 1 << 20
_SLUG_CHARS = 60
_ABANDONED_SECONDS = 3600.0  # a million patterns are written in a second or two


class IndexFiles:
    """Files under one folder."""

    def __init__(self, folder: Path) -> None:
        """Keep them under `folder`, which need not be there yet."""
        self._folder = folder

    def path(self, project: str, space: str) -> Path:
        """Where the index of a project and space is, if there is a file of it."""
        both = hashlib.blake2b(f"{project}\0{space}".encode(), digest_size=6).hexdigest()
        return self._folder / f"{_slug(project)}-{_slug(space)}-{both}" / _NAME

    def save(self, project: str, space: str, index: Index) -> None:
        """Write the index in place of what was there, whole or not at all. Not while it is trained.

        Raises:
            OSError: the disk is full, or the folder cannot be written.
        """
        path = self.path(project, space)
        path.parent.mkdir(parents=True, exist_ok=True)
        coming = path.with_name(f"{_NAME}.{os.getpid()}")
        _sweep(path)
        try:
            with coming.open("wb") as file:
                summed = _Summed(file)
                summed.write(_MAGIC)
                index.write(cast("BinaryIO", summed))
                file.write(summed.sum.to_bytes(_SUM_BYTES, "little"))
                file.flush()
                os.fsync(file.fileno())
            coming.replace(path)
        finally:
            with contextlib.suppress(OSError):
                coming.unlink(missing_ok=True)

    def remove(self, project: str, space: str) -> None:
        """Delete the saved index with its folder, if there is one.

        Raises:
            OSError: it cannot be deleted.
        """
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.path(project, space).parent)

    def load(self, project: str, space: str) -> Index | None:
        """The saved index; None where there is none that can be used, which the log then says."""
        path = self.path(project, space)
        try:
            return _read(path)
        except FileNotFoundError:
            return None
        except Exception as error:  # noqa: BLE001 - also what numpy and faiss say of odd bytes
            log.warning(
                "index_not_used",
                project=project,
                space=space,
                path=str(path),
                why=str(error) or repr(error),
                then="it is filled from the store, and saved anew",
            )
            return None


def _read(path: Path) -> Index:
    with path.open("rb") as file:
        _check(file)
        file.seek(len(_MAGIC))
        return Index.read(file)


class _Summed:
    """A file that is written to, and the CRC-32 of what was: damage is looked for, not malice."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.sum = 0

    def write(self, data: bytes) -> int:
        self.sum = zlib.crc32(data, self.sum)
        return self._file.write(data)


def _check(file: BinaryIO) -> None:
    """Read all of it once, before anything believes a length that is written in it."""
    left = os.fstat(file.fileno()).st_size - _SUM_BYTES
    if left < len(_MAGIC) or file.read(len(_MAGIC)) != _MAGIC:
        message = "it does not begin like an index"
        raise NotAnIndex(message)
    found, left = zlib.crc32(_MAGIC), left - len(_MAGIC)
    while left > 0:
        data = file.read(min(left, _CHUNK))
        if not data:
            break
        found, left = zlib.crc32(data, found), left - len(data)
    if int.from_bytes(file.read(_SUM_BYTES), "little") != found:
        message = "its checksum is wrong"
        raise NotAnIndex(message)


def _sweep(path: Path) -> None:
    """Remove what processes that died while they wrote have left: it may be hundreds of megabytes."""
    for left in path.parent.glob(f"{_NAME}.*"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > _ABANDONED_SECONDS:
                left.unlink()


def _slug(name: str) -> str:
    """What of a name a folder may be called by, for people who look for it."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name)[:_SLUG_CHARS].strip("-") or "x"
