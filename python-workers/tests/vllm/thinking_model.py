"""The demo model as one that thinks: ``python thinking_model.py FOLDER``. Two words of its stories become ``<think>`` and ``</think>``.

Asked for a story it says "<think> upon a time, a curious fox</think> Maple lived …", with the tokens that said "Once" and " named".
Knows no vLLM.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

DEMO = Path(__file__).resolve().parents[2] / "demo_model" / "model"
MARKS = {"Once": "<think>", "Ġnamed": "</think>"}
STORY = "Tell me a story about a fox."
REASONING, CONTENT = " upon a time, a curious fox", " Maple lived near Lantern Hill."


def make(folder: Path) -> str:
    """Write the model; returns the folder's path. Raises KeyError for a demo model without those words."""
    shutil.copytree(DEMO, folder)
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    model = tokenizer["model"]
    ids = {mark: model["vocab"][word] for word, mark in MARKS.items()}
    model["vocab"] = {MARKS.get(word, word): at for word, at in model["vocab"].items()}
    model["merges"] = [merge for merge in model["merges"] if not _touches(merge)]
    common: dict[str, Any] = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
    tokenizer["added_tokens"] += [{"id": at, "content": mark, **common} for mark, at in sorted(ids.items())]
    tokenizer["added_tokens"].sort(key=lambda token: token["id"])
    path.write_text(json.dumps(tokenizer, ensure_ascii=False), encoding="utf-8")
    return str(folder)


def _touches(merge: str | list[str]) -> bool:
    """Whether a merge makes one of the words, or goes on from it."""
    left, right = merge.split(" ") if isinstance(merge, str) else merge
    return not MARKS.keys().isdisjoint((left, right, left + right))


if __name__ == "__main__":
    make(Path(sys.argv[1]))
