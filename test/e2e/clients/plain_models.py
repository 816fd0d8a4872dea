"""What plain transformers makes of the tiny models: ``python plain_models.py FOLDER``, with ``embed``, ``rerank`` and ``classify`` in it.

Prints one JSON object: embeddings (CLS, length 1), scores (sigmoid) and probabilities (softmax) of the texts that the test sends.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

TEXTS = ["the red fox runs", "the owl sleeps"]
QUERY = "what is the fox"


def main(folder: Path) -> None:
    """Compute and print."""
    with torch.no_grad():
        tokens = AutoTokenizer.from_pretrained(folder / "embed")(TEXTS, padding=True, return_tensors="pt")
        hidden = AutoModel.from_pretrained(folder / "embed")(**tokens).last_hidden_state[:, 0]
        pairs = AutoTokenizer.from_pretrained(folder / "rerank")([QUERY] * 2, TEXTS, padding=True, return_tensors="pt")
        scores = AutoModelForSequenceClassification.from_pretrained(folder / "rerank")(**pairs).logits[:, 0]
        classes = AutoModelForSequenceClassification.from_pretrained(folder / "classify")(**tokens).logits
    print(
        json.dumps(
            {
                "embeddings": torch.nn.functional.normalize(hidden).tolist(),
                "scores": scores.sigmoid().tolist(),
                "probs": classes.softmax(-1).tolist(),
            }
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
