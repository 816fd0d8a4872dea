"""Files of flat tensors are what the library reads, and gaps are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load

from twinkle_worker.training.flat_file import flat_file


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_library_reads_what_the_views_hold(dtype: torch.dtype, tmp_path: Path) -> None:
    one, other = torch.randn(10).to(dtype), torch.randn(6).to(dtype)
    views = {"a": one[:6].view(2, 3), "b": one[6:].view(4, 1)}, {"c": other.view(3, 2)}
    content = flat_file((one, views[0]), (other, views[1]))
    tensors = load(b"".join(content))
    assert set(tensors) == {"a", "b", "c"}
    for name, view in {**views[0], **views[1]}.items():
        assert torch.equal(tensors[name], view)
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"".join(content))
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"format": "pt"}


def test_the_content_shares_memory() -> None:
    flat = torch.zeros(4)
    content = flat_file((flat, {"a": flat}))
    flat.fill_(2)
    assert load(b"".join(content))["a"].tolist() == [2, 2, 2, 2]


def test_gaps_are_refused() -> None:
    flat = torch.zeros(10)
    with pytest.raises(ValueError, match="b does not follow"):
        flat_file((flat, {"a": flat[:4], "b": flat[5:]}))
    with pytest.raises(ValueError, match="end before"):
        flat_file((flat, {"a": flat[:9]}))
    with pytest.raises(ValueError, match="a does not follow"):
        flat_file((flat, {"a": flat.view(5, 2).mT}))
