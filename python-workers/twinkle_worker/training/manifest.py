"""What is noted beside the files of a checkpoint: what kind of run it is of, how far that was, and a checksum of every file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from .errors import DAMAGED, NO_CHECKPOINT, UNSUPPORTED, TrainingError
from .flat_run import FlatRun
from .spec import OPTIMIZERS, FullSpec, LoraSpec

MANIFEST, OPTIMIZER = "manifest.json", "optimizer.safetensors"
FORMAT = 1
MOMENTS = "exp_avg", "exp_avg_sq"
"""Before the names in OPTIMIZER."""

Spec = TypeVar("Spec", LoraSpec, FullSpec)


@dataclass(frozen=True, slots=True)
class Noted(Generic[Spec]):
    """step: that the run had taken, of ``optimizer``; files: SHA-256 by name"""

    spec: Spec
    step: int
    optimizer: str
    files: Mapping[str, str]


def manifest_of(run: FlatRun[Any], spec: LoraSpec | FullSpec, base: str, files: Mapping[str, str]) -> bytes:
    """The content of MANIFEST. ``base``: the model, as users know it; ``files``: SHA-256 by name."""
    kind = "full" if isinstance(spec, FullSpec) else "lora"
    noted = {
        "format": FORMAT,
        "base_model": base,
        kind: asdict(spec),
        "step": run.step,
        "optimizer": run.optimizer,
        "files": dict(files),
    }
    return json.dumps(noted, indent=1, sort_keys=True).encode()


def read_manifest(folder: Path) -> dict[str, Any]:
    """What was noted of a checkpoint. Raises TrainingError where there is none, or none of this format."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
    except FileNotFoundError as error:
        if not folder.is_dir():
            raise TrainingError(NO_CHECKPOINT, f"there is no checkpoint {folder.name}") from error
        raise damaged(folder, "its manifest is missing") from error
    except (OSError, ValueError) as error:
        raise damaged(folder, f"its manifest cannot be read ({type(error).__name__})") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise damaged(folder, "its manifest has another format")
    return manifest


def is_full(manifest: Mapping[str, Any]) -> bool:
    """Whether it is of a run that trains the model's own parameters."""
    return "full" in manifest


def noted(folder: Path, manifest: Mapping[str, Any], make: Callable[..., Spec], optimizer: bool) -> Noted[Spec]:
    """What ``manifest``, which was read from ``folder``, says of a run whose spec ``make`` makes.

    Raises TrainingError where something lacks, or there is no optimizer and it is wanted.
    """
    try:
        spec = make(**manifest["full" if is_full(manifest) else "lora"])
        # Older ones name no optimizer: there was one only.
        kind = OPTIMIZERS[OPTIMIZERS.index(manifest.get("optimizer", OPTIMIZERS[0]))]
        found = Noted(spec, int(manifest["step"]), kind, dict(manifest["files"]))
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(folder, f"its manifest lacks something ({error})") from error
    if optimizer and OPTIMIZER not in found.files:
        raise TrainingError(
            UNSUPPORTED, f"the checkpoint {folder.name} holds no optimizer state; load it without", "optimizer"
        )
    return found


def damaged(folder: Path, why: str) -> TrainingError:
    """What a torn or changed checkpoint is refused with."""
    return TrainingError(DAMAGED, f"the checkpoint {folder.name} is damaged: {why}; use an older one")
