"""Loads configuration, tokenizer and weights with transformers, and turns every way that can go wrong into a LoadError."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ...protocol import SamplingDefaults
from ..base import LoadError, Progress
from ..sampling_defaults import sampling_defaults
from .fused_norm import fuse_norms
from .model_files import checked_folder
from .options import EngineOptions
from .support import check_config, check_model, context_length
from .weight_progress import weight_progress

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model on its device.

    device: where it is, or is to be
    eos: every token id that ends an answer
    vocabulary: ids below this have an embedding
    defaults: of its generation_config.json
    """

    model: Any
    tokenizer: Any
    device: torch.device
    max_model_len: int
    vocabulary: int
    parameters: int
    eos: frozenset[int]
    defaults: SamplingDefaults


def load_tokenizer(name: str, options: EngineOptions) -> Any:
    """The tokenizer of a local folder or hub id alone. Raises LoadError."""
    folder = checked_folder(name)
    source = str(folder) if folder is not None else name
    from transformers import AutoTokenizer

    common: dict[str, Any] = {"trust_remote_code": options.trust_remote_code, "revision": options.revision or "main"}
    return _guard("tokenizer", name, lambda: AutoTokenizer.from_pretrained(source, **common))


def load_model(name: str, options: EngineOptions, progress: Progress, move: bool = True) -> LoadedModel:
    """Load a local folder or hub id. Raises LoadError.

    move: to its device; else the model stays on the CPU, in the dtype that it would have there
    """
    device = pick_device(options.device)
    progress("config", 0.0, name)
    folder = checked_folder(name)
    source = str(folder) if folder is not None else name
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    common: dict[str, Any] = {"trust_remote_code": options.trust_remote_code, "revision": options.revision or "main"}
    config: Any = _guard("configuration", name, lambda: AutoConfig.from_pretrained(source, **common))
    remote = options.trust_remote_code and "AutoModelForCausalLM" in (getattr(config, "auto_map", None) or {})
    if config.model_type not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and not remote:
        raise LoadError(
            f"{name} is a {config.model_type!r} model, which transformers knows no causal language model for"
        )
    max_model_len = context_length(config, options.max_model_len)
    check_config(config, max_model_len)
    progress("config", 1.0, config.model_type)
    progress("tokenizer", 0.0, "")
    tokenizer: Any = _guard("tokenizer", name, lambda: AutoTokenizer.from_pretrained(source, **common))
    progress("tokenizer", 1.0, type(tokenizer).__name__)
    progress("weights", 0.0, "")
    with weight_progress(progress):
        model, report = _guard(
            "weights",
            name,
            lambda: AutoModelForCausalLM.from_pretrained(
                source,
                config=config,
                dtype=_dtype(options.dtype, device),
                attn_implementation=options.attn_implementation,
                output_loading_info=True,
                **common,
            ),
        )
    missing = sorted(report.get("missing_keys", ()))
    if missing:
        raise LoadError(
            f"the weights of {name} lack {len(missing)} tensors of the model ({', '.join(missing[:3])}); complete the download"
        )
    check_model(model)
    model = _guard("weights", name, lambda: model.eval().requires_grad_(False).to(device if move else "cpu"))
    if device.type == "cuda":  # where launches cost; on CPUs there is no such kernel
        fuse_norms(model)
    progress("weights", 1.0, "")
    return LoadedModel(
        model=model,
        tokenizer=tokenizer,
        device=device,
        max_model_len=max_model_len,
        vocabulary=model.get_input_embeddings().weight.shape[0],
        parameters=sum(weight.numel() for weight in model.parameters()),
        eos=_eos_ids(model, tokenizer),
        defaults=_defaults(model),
    )


def pick_device(name: str) -> torch.device:
    """The device of an option. Raises LoadError for CUDA that is not there."""
    if name == "cpu":
        return torch.device("cpu")
    if name == "auto":
        given = os.environ.get("TWINKLE_DEVICE_IDS")
        return _own_device(given) if torch.cuda.is_available() and given != "" else torch.device("cpu")
    if not torch.cuda.is_available():
        built = "" if torch.version.cuda else " (this torch is built without CUDA)"
        raise LoadError(f"device {name} was asked for but torch sees no CUDA device{built}; set device to cpu or auto")
    if name == "cuda":
        return _own_device(os.environ.get("TWINKLE_DEVICE_IDS"))
    device = torch.device(name)
    if (device.index or 0) >= torch.cuda.device_count():
        raise LoadError(f"device {name} was asked for but there are only {torch.cuda.device_count()}: cuda:0 and up")
    return device


def _own_device(given: str | None) -> torch.device:
    """The device that the placement gave this rank, also where no mask hides the others (NOSET). Raises LoadError."""
    count = torch.cuda.device_count()
    if not given or count == 1:
        return torch.device("cuda", 0)  # without an index torch.cuda.set_device refuses it
    wanted = given.removeprefix("GPU-").lower()
    for index in range(count):
        if str(getattr(torch.cuda.get_device_properties(index), "uuid", "")).lower() == wanted:
            return torch.device("cuda", index)
    raise LoadError(f"torch sees {count} CUDA devices but not {given}, which this rank was given; set device to cuda:N")


def read_template(option: str | None) -> str | None:
    """The template that the option names: a file's text, or the text itself. Raises LoadError."""
    if option is None or "{" in option or "\n" in option:
        return option
    try:
        return Path(option).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LoadError(f"chat_template {option} is neither a template nor a readable file: {error}") from error


def _dtype(option: str | None, device: torch.device) -> Any:
    if option is None:
        return "auto" if device.type == "cuda" else torch.float32
    return "auto" if option == "auto" else getattr(torch, option)


def _guard(what: str, name: str, load: Callable[[], Any]) -> Any:
    """Run a loading step; whatever it raises becomes a LoadError that says which step and why."""
    try:
        return load()
    except LoadError:
        raise
    except Exception as error:
        hint = ""
        if "trust_remote_code" in str(error):
            hint = "; if it needs code of its own, set trust_remote_code"
        elif type(error).__name__ == "SafetensorError":
            hint = "; a weight file is damaged or incomplete: download it again"
        raise LoadError(f"the {what} of {name} cannot be loaded: {type(error).__name__}: {error}{hint}") from error


def _defaults(model: Any) -> SamplingDefaults:
    # What differs from transformers' own: versions before 5 have a top_k of 50 where a file says nothing.
    config = getattr(model, "generation_config", None)
    return sampling_defaults({} if config is None else config.to_diff_dict())


def _eos_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    configs = (getattr(model, "generation_config", None), model.config, tokenizer)
    ids: set[int] = set()
    for config in configs:
        value = getattr(config, "eos_token_id", None)
        ids.update(value if isinstance(value, list) else [] if value is None else [value])
    return frozenset(ids)
