"""A run at one moment, written to disk: a PEFT folder, the moments beside it when wanted, and a manifest with a checksum of every file.

Written beside its place, synced and then renamed, so a folder of the right name is whole; what is only handed over is not synced.
Names and who owns them are the caller's.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from .adapter import Adapter
from .errors import EXISTS, STORAGE, TrainingError
from .peft_export import CONFIG, WEIGHTS, adapter_config, named_tensors
from .targets import Targets

MANIFEST, OPTIMIZER = "manifest.json", "optimizer.safetensors"
FORMAT = 1
"""Of the manifest."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A run at one moment, on the CPU: later steps do not change it, so another thread may write it.

    files: contents by name, the manifest last
    durable: to be written so that a power failure leaves all or nothing
    """

    files: Mapping[str, bytes]
    durable: bool = True

    @classmethod
    def take(cls, adapter: Adapter, targets: Targets, base: str, optimizer: bool) -> Snapshot:
        """Of weights, and of moments if ``optimizer``; accumulated gradients are not part of it."""
        layout = adapter.layout
        files = {
            WEIGHTS: save(named_tensors(layout, adapter.flat.cpu()), {"format": "pt"}),
            CONFIG: _json(adapter_config(adapter.spec, layout.targets, targets.found, base)),
        }
        if optimizer:
            first, second = (moment.cpu() for moment in adapter.moments())
            files[OPTIMIZER] = save(
                {
                    f"{kind}.{name}": part
                    for kind, flat in (("exp_avg", first), ("exp_avg_sq", second))
                    for name, part in named_tensors(layout, flat).items()
                }
            )
        files[MANIFEST] = _json(
            {
                "format": FORMAT,
                "base_model": base,
                "lora": asdict(adapter.spec),
                "step": adapter.step,
                "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
            }
        )
        return cls(files)

    @classmethod
    def hand_over(cls, adapter: Adapter, targets: Targets, base: str, dtype: torch.dtype) -> Snapshot:
        """Of weights alone, in ``dtype``, for an engine on this machine: no checksums, and lost with the machine's memory."""
        layout = adapter.layout
        return cls(
            {
                WEIGHTS: save(named_tensors(layout, adapter.flat.to(dtype).cpu()), {"format": "pt"}),
                CONFIG: _json(adapter_config(adapter.spec, layout.targets, targets.found, base)),
            },
            durable=False,
        )

    def write(self, folder: Path) -> int:
        """Make ``folder``, whose parent exists; gives the bytes written. Raises TrainingError, and then leaves nothing."""
        if folder.exists():
            raise TrainingError(EXISTS, f"a checkpoint named {folder.name} exists; choose another name")
        building: Path | None = None
        try:
            building = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent))
            for name, content in self.files.items():
                with open(building / name, "xb") as file:
                    file.write(content)
                    file.flush()
                    if self.durable:
                        os.fsync(file.fileno())
            if self.durable:
                _sync_folder(building)
            os.rename(building, folder)
            if self.durable:
                _sync_folder(folder.parent)
        except OSError as error:
            if building is not None:
                with suppress(OSError):
                    shutil.rmtree(building)
            raise TrainingError(
                STORAGE, f"the checkpoint {folder.name} was not written: {error.strerror or error}; the run goes on"
            ) from error
        return sum(len(content) for content in self.files.values())


def _json(content: Any) -> bytes:
    return json.dumps(content, indent=1, sort_keys=True).encode()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
