"""A real vLLM engine in this process, and what runs it to the end. Shares the request makers of the transformers engine's tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "hf"))

from hf_support import Outcome, generate, prompt, request, sampling  # noqa: F401 -- for the tests

from twinkle_worker.engines import create_engine
from twinkle_worker.protocol import LaunchSpec, LoadParams

MODEL = str(Path(__file__).resolve().parents[2] / "demo_model" / "model")


def launch(role: str = "whole", world_size: int = 1, rank: int = 0, link_fds: list[int] | None = None) -> LaunchSpec:
    """The launch of one process, without a hub."""
    return LaunchSpec(
        instance="test",
        gang="test/0",
        epoch=1,
        rank=rank,
        local_rank=rank,
        world_size=world_size,
        role=role,
        endpoint="ipc://unused",
        curve=None,
        identity="test",
        engine="vllm",
        env={},
        death_fd=-1,
        pass_fd=-1,
        listen_fd=-1,
        link_fds=link_fds or [],
        master_addr="127.0.0.1",
        master_port=0,
    )


def plain_tokens(model: str, prompts: list[str], wanted: list[dict[str, Any]]) -> list[list[int]]:
    """What a plain ``vllm.LLM`` of that folder generates in a process of its own; wanted: sampling parameters of each prompt."""
    script = Path(__file__).parent / "plain_llm.py"
    done = subprocess.run(
        [sys.executable, str(script)],
        input=json.dumps({"model": model, "prompts": prompts, "sampling": wanted}),
        env={**os.environ, "PYTHONPATH": str(script.parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    line = next((line for line in done.stdout.splitlines() if line.startswith("tokens:")), None)
    assert line is not None, done.stderr[-2000:]
    return json.loads(line.removeprefix("tokens:"))


def loaded(model: str = MODEL, **options: Any) -> Any:
    """A whole engine that has loaded ``model`` in float32."""
    engine = create_engine("vllm", launch())
    defaults = {"dtype": "float32", "max_model_len": 512, "max_num_seqs": 32, "served_model_name": ["demo"]}
    engine.load(LoadParams(model=model, options={**defaults, **options}), lambda *_: None)
    return engine
