"""Documents as token ids with a loss mask, and batches of similar length."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from corpus import mix
from tokenizer import END, END_OF_TEXT, START
from tokenizers import Tokenizer

_POOL = 1024
_LONGEST = 1024


@dataclass(frozen=True)
class Encoded:
    """Token ids and, for each, whether the model must learn to predict it."""

    ids: list[int]
    learn: list[bool]


class Encoder:
    """Turns documents into ids exactly as the chat template would."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._start = tokenizer.token_to_id(START)
        self._end = tokenizer.token_to_id(END)
        self._end_of_text = tokenizer.token_to_id(END_OF_TEXT)
        self._roles = {role: self._ids(f"{role}\n") for role in ("system", "user", "assistant")}
        self._newline = self._ids("\n")

    def _ids(self, text: str) -> list[int]:
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def text(self, text: str) -> Encoded:
        """Running text: all of it is learned, its end too."""
        ids = [*self._ids(text), self._end_of_text]
        return Encoded(ids, [True] * len(ids))

    def chat(self, chat: mix.Chat) -> Encoded:
        """A chat: the assistant's words and the end of its turn are learned."""
        messages = [("system", chat.system)] if chat.system else []
        for turn in chat.turns:
            messages += [("user", turn.user), ("assistant", turn.assistant)]
        ids: list[int] = []
        learn: list[bool] = []
        for role, content in messages:
            head, body = [self._start, *self._roles[role]], [*self._ids(content), self._end]
            ids += head + body + self._newline
            learn += [False] * len(head) + [role == "assistant"] * len(body) + [False] * len(self._newline)
        return Encoded(ids, learn)

    def document(self, document: mix.Chat | str) -> Encoded:
        """Either kind, cut to the longest length that is trained."""
        encoded = self.text(document) if isinstance(document, str) else self.chat(document)
        return Encoded(encoded.ids[:_LONGEST], encoded.learn[:_LONGEST])


@dataclass(frozen=True)
class Batch:
    """ids: (rows, length) int64, padded with 0 at the right. targets: same shape, shifted, -100: not learned."""

    ids: torch.Tensor
    targets: torch.Tensor

    def to(self, device: str) -> Batch:
        """The same batch on another device."""
        return Batch(self.ids.to(device), self.targets.to(device))


def _pack(rows: list[Encoded]) -> Batch:
    length = max(len(row.ids) for row in rows)
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    targets = torch.full((len(rows), length), -100, dtype=torch.long)
    for at, row in enumerate(rows):
        ids[at, : len(row.ids)] = torch.tensor(row.ids)
        next_ids = [token if learn else -100 for token, learn in zip(row.ids[1:], row.learn[1:], strict=True)]
        targets[at, : len(next_ids)] = torch.tensor(next_ids)
    return Batch(ids, targets)


def stream(tokenizer: Tokenizer, seed: int, tokens_per_batch: int) -> Iterator[Batch]:
    """Batches without end, about ``tokens_per_batch`` tokens each; causal attention needs no padding mask."""
    rng = random.Random(seed)
    encoder = Encoder(tokenizer)
    while True:
        pool = sorted((encoder.document(mix.document(rng)) for _ in range(_POOL)), key=lambda row: len(row.ids))
        groups: list[list[Encoded]] = [[]]
        for row in pool:
            if groups[-1] and (len(groups[-1]) + 1) * len(row.ids) > tokens_per_batch:
                groups.append([])
            groups[-1].append(row)
        rng.shuffle(groups)
        yield from map(_pack, groups)
