"""Trains one base model that is spread over ranks and, twice, one that each of them has whole; compares them, and tells memory and speed.

Usage, with python-workers on PYTHONPATH: ``torchrun --nproc-per-node 2 fsdp.py [--shape 1.7b] [--tokens 2048] [--datums 8] [--steps 6]``.
Rank 0 prints one JSON object; the exit code is 1 where the two differ, or a rank that fails brings others out of step. Without CUDA it
runs over gloo, with ``--shape tiny``.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import time
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from transformers import AutoModelForCausalLM, Qwen3Config

from twinkle_worker.training.base_model import BaseModel
from twinkle_worker.training.data_parallel import DataParallel
from twinkle_worker.training.sharding import ShardedLayers
from twinkle_worker.training.spec import Datum, LoraSpec, StepParams, Work
from twinkle_worker.training.trainer import Trainer, TrainerOptions

SHAPES = {
    "tiny": (96, 48, 4, 96, 4, 2, 16),
    "0.6b": (151936, 1024, 28, 3072, 16, 8, 128),
    "1.7b": (151936, 2048, 28, 6144, 16, 8, 128),
    "8b": (151936, 4096, 36, 12288, 32, 8, 128),
    "32b": (151936, 5120, 64, 25600, 64, 8, 128),
}
"""Of Qwen3: vocabulary, hidden size, layers, intermediate size, heads, key heads, size of a head."""
STEP = StepParams(learning_rate=1e-4)
NOISE = 1.5
"""Kernels on GPUs add up in whatever order: a gradient near zero changes its sign by that, and Adam's first step with it. So a model
differs from itself, too; spread it may differ by so much more."""


def random_model(shape: str, device: torch.device, dtype: torch.dtype) -> Any:
    """The same in every rank; on the CPU."""
    vocabulary, hidden, layers, inner, heads, keys, width = SHAPES[shape]
    config = Qwen3Config(
        vocab_size=vocabulary,
        hidden_size=hidden,
        num_hidden_layers=layers,
        intermediate_size=inner,
        num_attention_heads=heads,
        num_key_value_heads=keys,
        head_dim=width,
        max_position_embeddings=32768,
        tie_word_embeddings=shape != "8b" and shape != "32b",
    )
    torch.manual_seed(7)
    with torch.device(device):  # where random numbers are fast
        model = AutoModelForCausalLM.from_config(config, dtype=dtype).eval()
    return model.cpu()


def works(tokens: int, datums: int, vocabulary: int) -> list[Work]:
    """Two runs, with datums of two lengths."""
    random = torch.Generator().manual_seed(3)
    made = []
    for run in ("a", "b"):
        data = []
        for at in range(datums):
            ids = torch.randint(vocabulary, (tokens // (1 + at % 2) + 1,), generator=random)
            data.append(Datum(ids[:-1].int(), {"target_tokens": ids[1:]}))
        made.append(Work(run, data, "cross_entropy"))
    return made


def trained(trainer: Trainer, batch: list[Work], steps: int) -> dict[str, Any]:
    """Two steps to compare, then ``steps`` that are timed; a step is of both runs."""
    for run in ("a", "b"):
        trainer.create(run, LoraSpec(rank=16, seed=5))
    losses = []
    for _ in range(2):
        outcomes = trainer.forward_backward(batch)
        for outcome in outcomes:
            if outcome.error is not None:
                raise outcome.error
        losses.append([outcome.metrics.get("loss:sum", 0.0) for outcome in outcomes])
        for run in ("a", "b"):
            trainer.optim_step(run, STEP)
    weights = torch.cat([trainer.adapter(run).flat for run in ("a", "b")])
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    synchronize()
    started = time.perf_counter()
    for _ in range(steps):
        trainer.forward_backward(batch)
        for run in ("a", "b"):
            trainer.optim_step(run, STEP)
    synchronize()
    seconds = (time.perf_counter() - started) / steps
    tokens = sum(len(datum.tokens) for work in batch for datum in work.datums)
    return {"weights": weights, "losses": losses, "tokens/s": tokens / seconds, "ms a step": seconds * 1000}


def survives(trainer: Trainer, batch: list[Work], rank: int) -> bool:
    """Rank 0 has no memory in the middle of a pass, forward and backward; then all go on."""
    layer = trainer.base.model.model.layers[1].mlp

    def fail(*_: Any) -> None:
        raise torch.OutOfMemoryError("as a test has it")

    def fail_back(_module: Any, _args: Any, output: Tensor) -> None:
        if output.requires_grad:
            output.register_hook(fail)

    seen = []
    for place in ("forward", "backward"):
        hook = None
        if rank == 0:
            hook = (
                layer.register_forward_pre_hook(fail) if place == "forward" else layer.register_forward_hook(fail_back)
            )
        broken = trainer.forward_backward(batch[:1])[0].error
        if hook is not None:
            hook.remove()
        after = trainer.forward_backward(batch)
        seen.append(broken is not None and all(one.error is None for one in after))
    return all(seen)


def synchronize() -> None:
    dist.barrier()
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def gigabytes(peak: bool) -> float | None:
    """Of this rank's device; None on the CPU."""
    if not torch.cuda.is_available():
        return None
    return (torch.cuda.max_memory_allocated() if peak else torch.cuda.memory_allocated()) / 1e9


def measure(peers: DataParallel, device: torch.device, sharded: bool, given: argparse.Namespace) -> dict[str, Any]:
    """Load, train, and let go of everything."""
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    model = random_model(given.shape, device, dtype)
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    if sharded:
        base = BaseModel(model, "random", 32768, given.checkpoint, lambda m: ShardedLayers(m, peers.mesh(), device))
    else:
        base = BaseModel(model.to(device), "random", 32768, given.checkpoint)
    loading = {"loading s": time.perf_counter() - started, "GB while loading": gigabytes(peak=True)}
    held = gigabytes(peak=False)
    trainer = Trainer(base, TrainerOptions(shard=sharded, checkpoint_activations=given.checkpoint), peers)
    batch = works(given.tokens, given.datums, base.limits.vocabulary)
    seen = trained(trainer, batch, given.steps)
    seen |= {**loading, "GB held": held, "GB at most": gigabytes(peak=True)}
    if sharded:
        seen["goes on after an error of one rank"] = survives(trainer, batch, peers.rank)
    return seen


def losses_of(seen: dict[str, Any]) -> list[float]:
    """Of all steps and runs."""
    return [loss for step in seen["losses"] for loss in step]


def main() -> int:
    """Exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--shape", choices=SHAPES, default="1.7b")
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--datums", type=int, default=8)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--checkpoint", action="store_true")
    given = parser.parse_args()
    on_gpu = torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if on_gpu else torch.device("cpu")
    if on_gpu:
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if on_gpu else "gloo")
    peers = DataParallel(dist.get_rank(), dist.get_world_size(), device)
    seen: dict[str, Any] = {}
    for name in ("sharded", "whole", "whole again"):
        seen[name] = measure(peers, device, name == "sharded", given)
        gc.collect()
        if on_gpu:
            torch.cuda.empty_cache()
    ours, theirs, again = (one.pop("weights") for one in seen.values())
    apart, noise = (float((one - theirs).norm() / theirs.norm()) for one in (ours, again))
    every: list[Any] = [None] * peers.size
    dist.all_gather_object(every, {"apart": apart, "noise": noise, **seen})
    steady = all(one["sharded"]["goes on after an error of one rank"] for one in every)
    near = all(one["apart"] < max(1e-5, NOISE * one["noise"]) for one in every)
    pairs = [pair for one in every for pair in zip(losses_of(one["sharded"]), losses_of(one["whole"]), strict=True)]
    good = steady and near and all(abs(mine - other) <= 1e-3 * abs(other) for mine, other in pairs)
    if peers.rank == 0:
        print(json.dumps({"good": good, "torch": torch.__version__, **vars(given), "ranks": every}, indent=1))
    dist.destroy_process_group()
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
