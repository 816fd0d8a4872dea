"""A full run written to disk: a model folder, beside it what going on takes when wanted, and a manifest with checksums."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open

from .flat_file import flat_file, write_file
from .full_run import FullRun
from .manifest import MANIFEST, OPTIMIZER, manifest_of
from .model_folder import write_model
from .snapshot import moments_file
from .whole_folder import whole_folder

MASTER = "master.safetensors"
"""The weights in float32; absent where the model folder holds the very same."""


@dataclass(frozen=True, slots=True)
class FullSnapshot:
    """A run as it is when it is written: in the thread that steps it.

    name: of the model, as users know it
    optimizer: with all that going on as if never stopped takes; without, the weights alone, in the dtype of the model
    """

    run: FullRun
    model: Any
    name: str
    optimizer: bool

    def write(self, folder: Path) -> int:
        """Make ``folder``, whose parent exists; gives the bytes written. Raises TrainingError, and then leaves nothing."""
        run = self.run
        with whole_folder(folder, durable=True) as building:
            write_model(self.model, self.name, building)
            if self.optimizer:
                if not _holds(building, run):
                    master = run.flat.cpu()
                    write_file(building / MASTER, flat_file((master, run.named(master))))
                write_file(building / OPTIMIZER, moments_file([part.cpu() for part in run.moments()], run.named))
            sums = {file.name: checksum(file) for file in sorted(building.iterdir())}
            (building / MANIFEST).write_bytes(manifest_of(run, run.spec, self.name, sums))
            return sum(file.stat().st_size for file in building.iterdir())


def checksum(file: Path) -> str:
    """SHA-256 of a file, which may be larger than memory. Raises OSError."""
    with open(file, "rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def tensors_in(*files: Path) -> dict[str, tuple[Path, list[int]]]:
    """File and shape of each tensor, by its name. Raises what safetensors raises."""
    found: dict[str, tuple[Path, list[int]]] = {}
    for file in files:
        with safe_open(file, "pt") as tensors:
            found |= {name: (file, tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
    return found


def model_files(folder: Path) -> list[Path]:
    """The weights of a model folder."""
    return sorted(folder.glob("model*.safetensors"))


def _holds(folder: Path, run: FullRun) -> bool:
    """Whether the model folder has the run's master weights: in float32, and under the names of the parameters."""
    found = tensors_in(*model_files(folder))
    views = run.named(run.flat)
    return run.computes_in_float32 and all(
        name in found and found[name][1] == list(view.shape) for name, view in views.items()
    )
