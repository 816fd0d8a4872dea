"""One thread: the models are tiny, and tests share cores with others."""

from __future__ import annotations

import pytest
import torch
from training_support import make_trainer

from twinkle_worker.training.trainer import Trainer

torch.set_num_threads(1)


@pytest.fixture
def trainer() -> Trainer:
    """A fresh trainer of a tiny Qwen3 in float32."""
    return make_trainer()
