"""Trains the demo model from nothing: ``python train.py``. Needs torch and transformers, no network and no data.

The text comes from the ``corpus`` package, so seed, steps and library versions decide the result.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import batches
import tokenizer as demo_tokenizer
import torch
from optimizers import Optimizers
from transformers import GenerationConfig, Qwen3Config, Qwen3ForCausalLM

VOCABULARY = 3072
LONGEST = 2048


@dataclass(frozen=True)
class Options:
    """What the command line says.

    out: folder of the result. steps: optimizer steps. tokens: padded tokens a step.
    matrix_rate, other_rate: peak learning rates of Muon and AdamW.
    device: torch device, or auto: CUDA where there is one.
    minutes: a limit of wall time, or None; where it ends the run before ``steps`` do, the learning rate falls with the
    clock, and the result depends on the machine.
    """

    out: Path
    steps: int
    seed: int
    minutes: float | None
    threads: int
    device: str
    tokens: int
    matrix_rate: float
    other_rate: float


def model_config() -> Qwen3Config:
    """Qwen3 in small: 3.9 million parameters, heads of 64 because the CPU kernels of other servers want that size."""
    return Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=256,
        intermediate_size=768,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=64,
        max_position_embeddings=LONGEST,
        max_window_layers=4,
        tie_word_embeddings=True,
        attention_dropout=0.0,
        bos_token_id=None,
        eos_token_id=2,
        pad_token_id=0,
    )


def rate_factor(step: int, progress: float, warmup: int = 60) -> float:
    """Linear warm-up, then level, then a straight way down to 0.02 over the last 60 % as ``progress`` goes to 1."""
    return min(1.0, (step + 1) / warmup) * min(1.0, 0.02 + 0.98 * (1.0 - min(1.0, progress)) / 0.6)


def loss_of(model: Qwen3ForCausalLM, batch: batches.Batch) -> torch.Tensor:
    """Mean cross entropy over the learned tokens; logits are made for these only."""
    hidden = model.model(input_ids=batch.ids, use_cache=False).last_hidden_state
    learned = batch.targets >= 0
    return torch.nn.functional.cross_entropy(model.lm_head(hidden[learned]), batch.targets[learned])


def save(model: Qwen3ForCausalLM, out: Path) -> None:
    """Write config.json, generation_config.json and model.safetensors (bfloat16), readable for everybody."""
    model.generation_config = GenerationConfig(eos_token_id=[2, 0], pad_token_id=0, do_sample=True)
    model.to("cpu", torch.bfloat16).save_pretrained(out)
    for file in out.iterdir():
        file.chmod(0o644)


def train(options: Options) -> Qwen3ForCausalLM:
    """Train tokenizer and model, print the loss as it falls, and write the model folder."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    words = demo_tokenizer.train(options.seed, VOCABULARY)
    demo_tokenizer.save(words, options.out, LONGEST)
    device = ("cuda" if torch.cuda.is_available() else "cpu") if options.device == "auto" else options.device
    model = Qwen3ForCausalLM(model_config()).to(device).train()
    optimizers = Optimizers(model, options.matrix_rate, options.other_rate)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {words.get_vocab_size()} tokens", flush=True)
    source = batches.stream(words, options.seed + 1, options.tokens)
    started, seen, smooth = time.monotonic(), 0, 0.0
    for step in range(options.steps):
        minutes = (time.monotonic() - started) / 60
        progress = max(step / options.steps, minutes / options.minutes if options.minutes else 0.0)
        if progress >= 1.0:
            break
        batch = next(source).to(device)
        loss = loss_of(model, batch)
        loss.backward()
        optimizers.step(rate_factor(step, progress))
        seen += batch.ids.numel()
        smooth = loss.item() if step == 0 else 0.98 * smooth + 0.02 * loss.item()
        if step % 50 == 0 or step == options.steps - 1:
            print(f"step {step:5d}  loss {smooth:.4f}  {seen / 1e6:.2f} M tokens  {minutes:.1f} min", flush=True)
    print(f"done: loss {smooth:.4f}, {seen:,} tokens, {(time.monotonic() - started) / 60:.1f} minutes", flush=True)
    save(model, options.out)
    return model


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here = Path(__file__).parent
    parser.add_argument("--out", type=Path, default=here / "model", help="folder of the result (default: model, here)")
    parser.add_argument("--steps", type=int, default=4600, help="optimizer steps (default: 4600)")
    parser.add_argument("--seed", type=int, default=7, help="seed of text, tokenizer and weights (default: 7)")
    parser.add_argument("--minutes", type=float, default=None, help="end after so many minutes (default: no limit)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default: 2)")
    parser.add_argument("--device", default="auto", help="torch device (default: CUDA where there is one)")
    parser.add_argument("--tokens", type=int, default=8192, help="padded tokens a step (default: 8192)")
    parser.add_argument("--matrix-rate", type=float, default=0.015, help="peak learning rate of Muon (default: 0.015)")
    parser.add_argument("--other-rate", type=float, default=3e-3, help="peak learning rate of AdamW (default: 0.003)")
    train(Options(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
