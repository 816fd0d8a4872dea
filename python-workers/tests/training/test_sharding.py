"""Which models can be spread over ranks, and that a pass asks for every gather once, whatever happens in it. One rank is enough here."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import nn
from training_support import LENGTH, make_model

from twinkle_worker.engines.base import LoadError
from twinkle_worker.training.base_model import BaseModel
from twinkle_worker.training.data_parallel import DataParallel
from twinkle_worker.training.sharding import ShardedLayers

CPU = torch.device("cpu")


def out_of_memory(*_: Any) -> None:
    raise MemoryError("none left")


@pytest.fixture
def mesh() -> Iterator[Any]:
    """Of one rank."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield DataParallel(0, 1, CPU).mesh()
    dist.destroy_process_group()


def test_models_without_layers_of_their_own_are_refused_before_anything_is_sent() -> None:
    no_mesh: Any = None
    plain: Any = nn.Sequential(nn.Linear(4, 4))
    with pytest.raises(LoadError, match="in no ModuleList"):
        ShardedLayers(plain, no_mesh, CPU)
    model = make_model()
    model.model.layers[1].mlp.up_proj.weight = model.model.layers[0].mlp.up_proj.weight
    with pytest.raises(LoadError, match="shares weights between"):
        ShardedLayers(model, no_mesh, CPU)
    model = make_model()
    model.model.norm.weight = model.model.layers[0].input_layernorm.weight
    with pytest.raises(LoadError, match="what is around them"):
        ShardedLayers(model, no_mesh, CPU)


def test_what_is_no_decoder_layer_is_not_taken_for_one(mesh: Any) -> None:
    model = make_model()
    model.more = nn.ModuleList([nn.Linear(1000, 1000)])
    with pytest.raises(LoadError, match="larger parts than its decoder layers"):
        BaseModel(model, "tiny", LENGTH, False, partial(ShardedLayers, mesh=mesh, device=CPU))
    scalar = make_model()
    scalar.model.layers[0].factor = nn.Parameter(torch.tensor(1.0))
    with pytest.raises(LoadError, match="layer 0"):
        ShardedLayers(scalar, mesh, CPU)


def test_a_rank_that_cannot_gather_ends(mesh: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others would wait for it."""
    shards = ShardedLayers(make_model(), mesh, CPU)
    monkeypatch.setattr(shards._shards[1], "unshard", out_of_memory)
    shards.begin(True)
    with pytest.raises(SystemExit):
        shards.finish()


def test_a_gather_that_broke_off_is_not_asked_for_twice(mesh: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here where it is copied out, as when there is no memory for that: the collective itself is done."""
    shards = ShardedLayers(make_model(), mesh, CPU)
    asked: list[int] = []
    rooms = iter([False])

    def unshard(at: int, async_op: bool) -> Any:
        asked.append(at)
        return SimpleNamespace(wait=lambda: None if next(rooms, True) else out_of_memory())

    for at, shard in enumerate(shards._shards):
        monkeypatch.setattr(shard, "unshard", partial(unshard, at))
        monkeypatch.setattr(shard, "reshard", lambda: None)
    shards.begin(True)
    with pytest.raises(MemoryError):
        shards._enter(0)
    shards.finish()
    assert asked == [0, 1, 0]
    asked.clear()
    with shards.pass_forward(), pytest.raises(RuntimeError, match="out of turn"):
        shards._enter(1)
    assert asked == [0, 1]
