"""Tiny models with random weights and tokenizers of their own: ``python tiny_models.py FOLDER KIND…``, each in a folder of its kind's name.

Kinds that the demo model is not: embed, rerank, classify, vision. Knows transformers only; the same seed gives the same weights.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2Processor,
    Blip2QFormerConfig,
    Blip2VisionConfig,
    BlipImageProcessorPil,
    OPTConfig,
    PreTrainedTokenizerFast,
)

WORDS = [
    *("the", "a", "fox", "owl", "river", "hill", "lantern", "red", "green", "blue"),
    *("big", "small", "runs", "sleeps", "sings", "what", "is", "colour", "this", "of"),
]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
IMAGE_SIZE, QUERIES = 32, 4
CHAT = "{% for m in messages %}{% for c in m['content'] %}{{ '<image>' if c['type'] == 'image' else c['text'] }} {% endfor %}{% endfor %}"


def make(kind: str, folder: Path) -> None:
    """Write the model of that kind. Raises KeyError for another."""
    torch.manual_seed(11)
    model = {"embed": _embed, "rerank": _rerank, "classify": _classify, "vision": _vision}[kind](folder)
    # The usual scale of new weights makes all texts nearly alike.
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.normal_(0.0, 0.3)
    model.save_pretrained(folder)


def _embed(folder: Path) -> Any:
    return BertModel(_bert(folder))


def _rerank(folder: Path) -> Any:
    return BertForSequenceClassification(_bert(folder, num_labels=1))


def _classify(folder: Path) -> Any:
    names = {0: "animal", 1: "place", 2: "colour"}
    return BertForSequenceClassification(
        _bert(folder, id2label=names, label2id={name: at for at, name in names.items()})
    )


def _vision(folder: Path) -> Any:
    # BLIP-2: what vLLM has for most others imports torchvision, which no CPU environment has.
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=_tokenizer(["<image>"]), bos_token="[CLS]", eos_token="[SEP]", pad_token="[PAD]"
    )
    images = BlipImageProcessorPil(size={"height": IMAGE_SIZE, "width": IMAGE_SIZE})
    Blip2Processor(images, tokenizer, num_query_tokens=QUERIES).save_pretrained(folder)
    (folder / "chat_template.jinja").write_text(CHAT)
    size = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = Blip2Config(
        vision_config=Blip2VisionConfig(**size, image_size=IMAGE_SIZE, patch_size=16),
        qformer_config=Blip2QFormerConfig(**size, vocab_size=len(tokenizer), encoder_hidden_size=64),
        text_config=OPTConfig(
            vocab_size=len(tokenizer),
            hidden_size=64,
            word_embed_proj_dim=64,
            ffn_dim=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=64,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        ),
        num_query_tokens=QUERIES,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    return Blip2ForConditionalGeneration(config)


def _bert(folder: Path, **more: Any) -> BertConfig:
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=_tokenizer(),
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )
    tokenizer.save_pretrained(folder)
    return BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=64,
        **more,
    )


def _tokenizer(extra: list[str] | None = None) -> Tokenizer:
    words = [*SPECIAL, *WORDS, *(extra or [])]
    tokenizer = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens([*SPECIAL, *(extra or [])])
    if extra is None:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
    return tokenizer


if __name__ == "__main__":
    for kind in sys.argv[2:]:
        make(kind, Path(sys.argv[1]) / kind)
