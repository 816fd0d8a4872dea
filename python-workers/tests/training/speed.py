"""Tokens per second of CPU time, on one thread: a trainer against a bare torch + PEFT loop, and eight runs at once against one by one.

PYTHONPATH=. python -W ignore tests/training/speed.py [rounds]; a tool, not a test. Rounds of both sides alternate, and the median counts.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import torch
from training_support import Reference, make_model, make_trainer, work
from transformers import Qwen3Config

from twinkle_worker.training.spec import LoraSpec, StepParams

CONFIG = Qwen3Config(
    vocab_size=3072,
    hidden_size=64,
    num_hidden_layers=4,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=16,
    intermediate_size=256,
    max_position_embeddings=512,
    tie_word_embeddings=True,
)
STEP = StepParams(learning_rate=1e-4)


def cpu_seconds(action: Callable[[], object]) -> float:
    started = time.process_time()
    action()
    return time.process_time() - started


def compare(title: str, tokens: int, ours: Callable[[], object], theirs: Callable[[], object], rounds: int) -> None:
    """Print both rates and their ratio."""
    ours(), theirs()
    pairs = [(cpu_seconds(ours), cpu_seconds(theirs)) for _ in range(rounds)]
    first, second = (tokens / statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"{title}: {first:,.0f} tokens/s against {second:,.0f}, ratio {first / second:.2f}", flush=True)


def against_bare(rank: int, rounds: int, head: bool) -> None:
    """8 x 128 tokens, forward_backward and optim_step."""
    spec = LoraSpec(rank=rank, seed=1, train_unembed=head)
    trainer = make_trainer(CONFIG, max_model_len=512)
    reference = Reference(trainer, trainer.create("run", spec), make_model(CONFIG))
    optimizer = torch.optim.AdamW(reference.parameters, lr=1e-4, betas=(0.9, 0.95), eps=1e-12, weight_decay=0.0)
    batch = work("run", [128] * 8)
    ids = torch.stack([one.tokens.long() for one in batch.datums])
    targets = torch.stack([one.inputs["target_tokens"] for one in batch.datums])
    weights = torch.stack([one.inputs["weights"] for one in batch.datums])

    def ours() -> None:
        trainer.forward_backward([batch])
        trainer.optim_step("run", STEP)

    def bare() -> None:
        logits = reference.model(input_ids=ids, use_cache=False).logits.float()
        losses = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
        (losses * weights.flatten()).sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    compare(f"8 x 128 tokens, rank {rank}{', head' if head else ''}, bare loop", 1024, ours, bare, rounds)


def together(count: int, lengths: list[int], rounds: int) -> None:
    """Several runs in one call against one call each."""
    trainer = make_trainer(CONFIG, max_model_len=512)
    for run in range(count):
        trainer.create(str(run), LoraSpec(rank=8, seed=run))
    works = [work(str(run), lengths, salt=run) for run in range(count)]

    def step() -> None:
        for run in range(count):
            trainer.optim_step(str(run), STEP)

    def at_once() -> None:
        trainer.forward_backward(works)
        step()

    def in_turn() -> None:
        for one in works:
            trainer.forward_backward([one])
        step()

    compare(f"{count} runs of {lengths} tokens, one by one", count * sum(lengths), at_once, in_turn, rounds)


if __name__ == "__main__":
    torch.set_num_threads(1)
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    for rank, head in ((8, False), (8, True), (32, True)):
        against_bare(rank, rounds, head)
    for lengths in ([16], [32], [128], [128] * 8, [20, 33, 7]):
        together(8, lengths, rounds)
