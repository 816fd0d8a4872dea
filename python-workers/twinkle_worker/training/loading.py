"""From a model's name to a trainer, by the same loader and options as the transformers engine."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import nn

from ..engines.base import LoadError, Progress
from ..engines.hf.loading import load_model, pick_device
from ..engines.hf.options import EngineOptions
from ..engines.hf.threads import thread_count
from ..protocol import LaunchSpec
from .base_model import BaseModel
from .data_parallel import DataParallel
from .memory import free_on, load_shortage
from .outcomes import is_out_of_memory
from .trainer import Trainer, TrainerOptions

if TYPE_CHECKING:
    from .sharding import ShardedLayers


def open_trainer(
    model: str, engine: EngineOptions, options: TrainerOptions, launch: LaunchSpec, progress: Progress
) -> Trainer:
    """Load the base model and make it ready for training, together with the other ranks of the gang. Raises LoadError."""
    if options.shard and launch.world_size == 1:
        raise LoadError(
            "expected at least 2 ranks for `--train-shard`, which spreads the base model over them, but there is 1; "
            "raise `--train-ranks`, give them more devices with `--train-gpus`, or leave it out"
        )
    free = free_on(pick_device(engine.device))
    try:
        return _open(model, engine, options, launch, progress)
    except Exception as error:
        if not _no_memory(error):
            raise
        large = (
            "more ranks or larger devices hold more" if options.shard else "`--train-shard` spreads it over the ranks"
        )
        raise LoadError(
            f"{load_shortage(model, free, error)}; a model that is too large for one device: {large}"
        ) from error


def _open(
    model: str, engine: EngineOptions, options: TrainerOptions, launch: LaunchSpec, progress: Progress
) -> Trainer:
    loaded = load_model(model, engine, progress, move=not options.shard)
    threads = thread_count(engine.num_threads, loaded.parameters)
    if threads is not None:
        torch.set_num_threads(threads)
    progress("warmup", 0.0, "packed passes")
    # Those that share a model need each other before it is ready, others after.
    peers = DataParallel.join(launch, loaded.device) if options.shard else None
    shard = None if peers is None else partial(_shard, peers, loaded.device)
    base = BaseModel(loaded.model, model, loaded.max_model_len, options.checkpoint_activations, shard)
    if peers is None:
        peers = DataParallel.join(launch, base.device)
    progress("warmup", 1.0, "")
    return Trainer(base, options, peers)


def _shard(peers: DataParallel, device: torch.device, model: nn.Module) -> ShardedLayers:
    from .sharding import ShardedLayers  # torch's FSDP takes a while to import

    return ShardedLayers(model, peers.mesh(), device)


def _no_memory(error: BaseException | None) -> bool:
    """Whether that is what began it."""
    while isinstance(error, Exception):
        if is_out_of_memory(error):
            return True
        error = error.__cause__
    return False
