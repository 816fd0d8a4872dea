"""From a model's name to a trainer, by the same loader and options as the transformers engine."""

from __future__ import annotations

import torch

from ..engines.base import Progress
from ..engines.hf.loading import load_model
from ..engines.hf.options import EngineOptions
from ..engines.hf.threads import thread_count
from ..protocol import LaunchSpec
from .base_model import BaseModel
from .data_parallel import DataParallel
from .trainer import Trainer, TrainerOptions


def open_trainer(
    model: str, engine: EngineOptions, options: TrainerOptions, launch: LaunchSpec, progress: Progress
) -> Trainer:
    """Load the base model and make it ready for training, together with the other ranks of the gang. Raises LoadError."""
    loaded = load_model(model, engine, progress)
    threads = thread_count(engine.num_threads, loaded.parameters)
    if threads is not None:
        torch.set_num_threads(threads)
    progress("warmup", 0.0, "packed passes")
    base = BaseModel(loaded.model, model, loaded.max_model_len, options.checkpoint_activations)
    peers = DataParallel.join(launch, base.device)
    progress("warmup", 1.0, "")
    return Trainer(base, options, peers)
