"""A folder that is there whole or not at all: filled beside its place, synced when it has to last, and then renamed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import EXISTS, STORAGE, TrainingError


@contextmanager
def whole_folder(folder: Path, durable: bool) -> Iterator[Path]:
    """Gives a folder to be filled with files, which is ``folder``, whose parent exists, once the block has ended well.

    durable: a power failure leaves all or nothing. Raises TrainingError where ``folder`` exists or the disk refuses; nothing is left then,
    nor when the block raises.
    """
    if folder.exists():
        raise TrainingError(EXISTS, f"a checkpoint named {folder.name} exists; choose another name")
    building: Path | None = None
    try:
        building = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent))
        yield building
        if durable:
            for file in building.iterdir():
                _sync(file)
            _sync(building)
        os.rename(building, folder)
        if durable:
            _sync(folder.parent)
    except BaseException as error:
        if building is not None:
            with suppress(OSError):
                shutil.rmtree(building)
        if not isinstance(error, OSError):
            raise
        raise TrainingError(
            STORAGE, f"the checkpoint {folder.name} was not written: {error.strerror or error}; the run goes on"
        ) from error


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
