"""Names, shapes and dtypes of a model's tensors, and whether new ones fit them. Reads headers only; knows neither torch nor vLLM."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ...protocol import TensorHandle
from ..base import RequestError

_NUMPY_NAMES = {
    "BOOL": "bool",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    **{f"F{bits}": f"float{bits}" for bits in (16, 32, 64)},
    **{f"I{bits}": f"int{bits}" for bits in (8, 16, 32, 64)},
    **{f"U{bits}": f"uint{bits}" for bits in (8, 16, 32, 64)},
}
_CAST = frozenset(("float16", "bfloat16", "float32", "float64"))
"""Each is converted to what the model has, as at its first load."""

_MAX_HEADER = 100 << 20
_COMPUTED = "rotary_emb.inv_freq"
"""In some checkpoints; every loader computes it."""
_HEAD = "lm_head.weight"

_FACTS = (
    "model_type",
    "architectures",
    "hidden_size",
    "intermediate_size",
    "moe_intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "vocab_size",
    "num_experts",
    "num_local_experts",
)
"""Of a config.json: what two checkpoints of one model have in common."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """dtype: its numpy name; for what numpy has not, torch's."""

    dtype: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"


Specs = Mapping[str, TensorSpec]


def file_specs(paths: Iterable[str]) -> dict[str, TensorSpec]:
    """Tensors of safetensors files, by their headers. Raises RequestError for a file that is none, or is cut short."""
    return {name: spec for path in paths for name, spec in _header(path).items()}


def _header(path: str) -> dict[str, TensorSpec]:
    try:
        with open(path, "rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if size > _MAX_HEADER:
                raise ValueError("its header is too long")
            document: dict[str, Any] = json.loads(file.read(size))
            document.pop("__metadata__", None)
            end = 8 + size + max((entry["data_offsets"][1] for entry in document.values()), default=0)
            if os.fstat(file.fileno()).st_size != end:
                raise ValueError(f"it is not {end} bytes long")
            return {
                name: TensorSpec(_NUMPY_NAMES.get(entry["dtype"], str(entry["dtype"]).lower()), tuple(entry["shape"]))
                for name, entry in document.items()
            }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RequestError("INVALID_REQUEST", f"{path} is no complete safetensors file: {error}", "path") from error


def handle_specs(tensors: Iterable[tuple[str, TensorHandle]]) -> dict[str, TensorSpec]:
    """Tensors in shared segments. Raises RequestError for a name that comes twice."""
    specs: dict[str, TensorSpec] = {}
    for name, handle in tensors:
        if name in specs:
            raise RequestError("INVALID_REQUEST", f"tensor `{name}` is given twice", "tensors")
        specs[name] = TensorSpec(handle.dtype, tuple(handle.shape))
    return specs


def check_specs(expected: Specs, given: Specs, tied: bool) -> None:
    """Whether ``given`` is the whole model once more. Raises RequestError that names the first tensor at fault.

    tied: the output layer is the embedding; checkpoints may have it once or twice
    """

    def free(name: str) -> bool:
        return name.endswith(_COMPUTED) or (tied and name.endswith(_HEAD))

    for name, spec in given.items():
        wanted = expected.get(name)
        if wanted is None and free(name):
            continue
        if wanted is None:
            raise RequestError("INVALID_REQUEST", f"tensor `{name}` is none of the model's", name)
        if spec.shape != wanted.shape or not _fits(spec.dtype, wanted.dtype):
            raise RequestError("INVALID_REQUEST", f"expected {wanted} for tensor `{name}` but received {spec}", name)
    missing = [name for name in expected if name not in given and not free(name)]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise RequestError(
            "INVALID_REQUEST",
            f"tensor `{missing[0]}`{more} is missing: an update has all {len(expected)} tensors of the model",
            missing[0],
        )


def _fits(given: str, wanted: str) -> bool:
    return given == wanted or (given in _CAST and wanted in _CAST)


def check_config(folder: str, current: Mapping[str, Any]) -> None:
    """Whether the config.json of ``folder``, if it has one, is of the model whose facts are ``current``. Raises RequestError."""
    path = os.path.join(folder, "config.json")
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise RequestError("INVALID_REQUEST", f"{path} cannot be read: {error}", "path") from error
    for fact in _FACTS:
        given, wanted = document.get(fact), current.get(fact)
        if given is not None and wanted is not None and given != wanted:
            raise RequestError(
                "INVALID_REQUEST",
                f"expected `{fact}` {wanted!r} in {path}, as the model has it, but found {given!r}",
                fact,
            )
