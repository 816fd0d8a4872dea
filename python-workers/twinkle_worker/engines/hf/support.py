"""Which models this engine can serve, and how long their context is. Judges a configuration; a self-check judges the model itself."""

from __future__ import annotations

from typing import Any

from ..base import LoadError

_LENGTH_NAMES = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "max_sequence_length", "n_ctx")
_WINDOWED = {"sliding_attention": "sliding_window", "chunked_attention": "attention_chunk_size"}


def model_length(config: Any) -> int | None:
    """The context length that a configuration states, or None."""
    text = config.get_text_config()
    lengths = (getattr(text, name, None) for name in _LENGTH_NAMES)
    return next((length for length in lengths if isinstance(length, int) and length > 0), None)


def context_length(config: Any, asked: int | None) -> int:
    """``asked``, or else the model's own length. Raises LoadError when it is over the model's or nobody knows."""
    own = model_length(config)
    if own is None and asked is None:
        raise LoadError("the model's configuration states no context length; set max_model_len")
    if own is not None and asked is not None and asked > own:
        raise LoadError(
            f"max_model_len {asked} is over the {own} tokens that the model was made for; set it to {own} or less"
        )
    return asked if asked is not None else own or 0


def check_config(config: Any, max_model_len: int) -> None:
    """Raise LoadError unless every layer is full attention, or a window that ``max_model_len`` never leaves."""
    kind = getattr(config, "model_type", type(config).__name__)
    if getattr(config, "is_encoder_decoder", False):
        raise LoadError(f"{kind} is an encoder-decoder model; this engine serves decoder-only language models")
    text = config.get_text_config()
    types = getattr(text, "layer_types", None)
    if types is not None:
        found = {str(name) for name in types} - {"full_attention"}
        unknown = sorted(found - _WINDOWED.keys())
        if unknown:
            raise LoadError(f"{kind} has layers of {', '.join(unknown)}; this engine serves full attention only")
        windows = {name: getattr(text, _WINDOWED[name], None) for name in found}
    else:
        names = {name: attribute for name, attribute in _WINDOWED.items() if getattr(text, attribute, None)}
        unused = getattr(text, "use_sliding_window", True) is False
        windows = {name: getattr(text, attribute) for name, attribute in names.items() if not unused}
    for name, window in windows.items():
        if not isinstance(window, int) or window < max_model_len:
            raise LoadError(
                f"{kind} uses {name} over {window} tokens, which this engine does not do beyond the window; "
                f"set max_model_len to {window} or less"
            )


def check_model(model: Any) -> None:
    """Raise LoadError for models that keep a state other than keys and values."""
    if getattr(model, "_is_stateful", False):
        raise LoadError(f"{type(model).__name__} keeps a recurrent state; this engine serves full attention only")
