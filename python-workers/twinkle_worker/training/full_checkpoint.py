"""Reads what full_snapshot.py wrote, and refuses what is torn, changed, or made for another model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from .errors import UNSUPPORTED, TrainingError
from .full_run import FullRun
from .full_snapshot import MASTER, checksum, model_files, tensors_in
from .manifest import MOMENTS, OPTIMIZER, damaged, noted
from .spec import FullSpec


@dataclass(frozen=True, slots=True)
class FullCheckpoint:
    """A checkpoint whose files are what was written: nothing in memory yet.

    step: that it goes on from, of ``optimizer``; None: it is to be loaded without
    tensors: file and shape by name, of weights and moments
    """

    folder: Path
    spec: FullSpec
    step: int | None
    optimizer: str
    tensors: Mapping[str, tuple[Path, list[int]]]

    @staticmethod
    def open(folder: Path, manifest: Mapping[str, Any], optimizer: bool) -> FullCheckpoint:
        """``manifest``: from read_manifest. Raises TrainingError for a folder that is torn, or lacks an optimizer that is wanted."""
        found = noted(folder, manifest, FullSpec, optimizer)
        sums = found.files
        with _reading(folder):
            for name, wanted in sums.items():
                if checksum(folder / name) != wanted:
                    raise damaged(folder, f"{name} is not what was written")
            files = [folder / MASTER] if MASTER in sums else model_files(folder)
            tensors = tensors_in(*files, *([folder / OPTIMIZER] if optimizer else []))
        return FullCheckpoint(folder, found.spec, found.step if optimizer else None, found.optimizer, tensors)

    def check(self, shapes: Mapping[str, Tensor]) -> None:
        """Raise TrainingError unless it has the weights, and moments where they are wanted, of parameters with these names and shapes."""
        for name, like in shapes.items():
            for prefix in self._prefixes():
                _, shape = self.tensors.get(prefix + name, (None, None))
                if shape != list(like.shape):
                    seen = (
                        f"has no {prefix}{name}"
                        if shape is None
                        else f"has {prefix}{name} {shape}, not {list(like.shape)}"
                    )
                    raise TrainingError(
                        UNSUPPORTED,
                        f"the checkpoint {self.folder.name} was made for another model, or not to go on from: it {seen}",
                    )

    def fill(self, run: FullRun) -> None:
        """Make ``run``, of parameters that were checked, what was saved. Raises TrainingError when the disk fails; the run is then torn."""
        flats = {"": run.flat}
        if self.step is not None:
            flats |= dict(zip(self._prefixes()[1:], run.moments(), strict=True))
        else:
            for moment in run.moments():
                moment.zero_()
        wanted = {prefix + name: view for prefix, flat in flats.items() for name, view in run.named(flat).items()}
        with _reading(self.folder), torch.no_grad():
            for file in {self.tensors[name][0] for name in wanted}:
                with safe_open(file, "pt") as content:
                    for name, view in wanted.items():
                        if self.tensors[name][0] == file:
                            view.copy_(content.get_tensor(name))
        run.step, run.optimizer = self.step or 0, self.optimizer
        run.clear()
        run.publish()

    def _prefixes(self) -> list[str]:
        return ["", *(f"{kind}." for kind in MOMENTS)] if self.step is not None else [""]


@contextmanager
def _reading(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise damaged(folder, f"it cannot be read ({error})") from error
