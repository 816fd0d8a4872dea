"""A run at one moment, written to disk: a PEFT folder, the moments beside it when wanted, and a manifest with a checksum of every file.

Written beside its place, synced and then renamed, so a folder of the right name is whole; what is only handed over is not synced.
Names and who owns them are the caller's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .adapter import Adapter
from .flat_file import Content, flat_file, write_file
from .manifest import MANIFEST, MOMENTS, OPTIMIZER, manifest_of
from .peft_export import CONFIG, WEIGHTS, adapter_config, named_tensors
from .targets import Targets
from .whole_folder import whole_folder


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A run at one moment, on the CPU: later steps do not change it, so another thread may write it.

    files: contents by name, the manifest last
    durable: to be written so that a power failure leaves all or nothing
    """

    files: Mapping[str, Content]
    durable: bool = True

    @classmethod
    def take(cls, adapter: Adapter, targets: Targets, base: str, optimizer: bool) -> Snapshot:
        """Of weights, and of moments if ``optimizer``; accumulated gradients are not part of it."""
        layout, flat = adapter.layout, adapter.flat.to("cpu", copy=True)
        files: dict[str, Content] = {
            WEIGHTS: flat_file((flat, named_tensors(layout, flat))),
            CONFIG: _json(adapter_config(adapter.spec, layout.targets, targets.found, base)),
        }
        if optimizer:
            moments = [part.to("cpu", copy=True) for part in adapter.moments()]
            files[OPTIMIZER] = moments_file(moments, lambda part: named_tensors(layout, part))
        sums = {name: _checksum(content) for name, content in files.items()}
        files[MANIFEST] = (manifest_of(adapter, adapter.spec, base, sums),)
        return cls(files)

    @classmethod
    def hand_over(cls, adapter: Adapter, targets: Targets, base: str, dtype: torch.dtype) -> Snapshot:
        """Of weights alone, in ``dtype``, for an engine on this machine: no checksums, and lost with the machine's memory."""
        layout, flat = adapter.layout, _staged(adapter.flat.to(dtype))
        return cls(
            {
                WEIGHTS: flat_file((flat, named_tensors(layout, flat))),
                CONFIG: _json(adapter_config(adapter.spec, layout.targets, targets.found, base)),
            },
            durable=False,
        )

    def write(self, folder: Path) -> int:
        """Make ``folder``, whose parent exists; gives the bytes written. Raises TrainingError, and then leaves nothing."""
        with whole_folder(folder, self.durable) as building:
            for name, content in self.files.items():
                write_file(building / name, content)
        return sum(len(piece) for content in self.files.values() for piece in content)


def moments_file(moments: Sequence[Tensor], named: Callable[[Tensor], Mapping[str, Tensor]]) -> Content:
    """The content of OPTIMIZER: moments, each flat and on the CPU, of which ``named`` gives the views by name."""
    return flat_file(
        *(
            (flat, {f"{kind}.{name}": view for name, view in named(flat).items()})
            for kind, flat in zip(MOMENTS, moments, strict=True)
        )
    )


def _staged(flat: Tensor) -> Tensor:
    """A copy on the CPU; from a device through page-locked memory, which torch keeps for the next one: several times faster."""
    if flat.device.type == "cpu":
        return flat.clone()
    return torch.empty_like(flat, device="cpu", pin_memory=True).copy_(flat)


def _json(content: Any) -> Content:
    return (json.dumps(content, indent=1, sort_keys=True).encode(),)


def _checksum(content: Content) -> str:
    sums = hashlib.sha256()
    for piece in content:
        sums.update(piece)
    return sums.hexdigest()
