"""Conversations as sequences to train on: written by the model's own chat template, with the answers as targets. Knows nothing of torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..engines.base import RequestError
from ..engines.hf.chat import ChatRenderer
from ..protocol import EncodedConversations, EncodeParams, Prompt

LONGEST = 1 << 20
"""Characters of a conversation: others wait while it is written."""

IGNORED = -100
"""Label of a position whose target does not count."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """tokens [N]; labels [N]: the token after each position where an answer has it, else IGNORED"""

    tokens: list[int]
    labels: list[int]


class ConversationEncoder:
    """Of one tokenizer, which must know where in the text a token is (a fast one of transformers)."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._renderer = ChatRenderer(tokenizer, None)

    def encode(self, params: EncodeParams) -> EncodedConversations:
        """One sequence of each conversation, in order. Raises RequestError that names the conversation."""
        sequences = [self._one(one, at, params) for at, one in enumerate(params.conversations)]
        return packed(sequences)

    def _one(self, conversation: Any, at: int, params: EncodeParams) -> Encoded:
        messages: list[Any] = list(conversation.get("messages") or ())
        if params.system is not None and messages and messages[0].get("role") == "user":
            messages.insert(0, {"role": "system", "content": params.system})
        tools = conversation.get("tools") or None

        def written(count: int, asks: bool = False) -> str:
            prompt = Prompt(
                text=None,
                token_ids=None,
                messages=messages[:count],
                tools=tools,
                chat_template=None,
                chat_template_kwargs=dict(params.template_kwargs),
                add_generation_prompt=asks,
                continue_final_message=False,
                add_special_tokens=False,
            )
            return self._renderer.render(prompt)

        text = written(len(messages))
        if len(text) > LONGEST:
            raise _refused(at, f"it has {len(text)} characters, over the {LONGEST} that a conversation may have")
        answers = [
            _span(text, written(turn, asks=True), written(turn + 1), at, turn)
            for turn, message in enumerate(messages)
            if message.get("role") == "assistant" and turn > 0
        ]
        encoded = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        tokens: list[int] = encoded["input_ids"]
        inside = list(_inside(encoded["offset_mapping"], answers))
        labels = [token if counts else IGNORED for token, counts in zip(tokens[1:], inside[1:], strict=True)]
        return shortened(Encoded(tokens, [*labels, IGNORED]), at, params)


def _span(text: str, before: str, after: str, at: int, turn: int) -> tuple[int, int]:
    """Where in ``text`` the answer is that ``after`` has and ``before`` is asked for; in characters."""
    if not text.startswith(before):
        raise _refused(
            at,
            f"the chat template writes what comes before messages[{turn}] differently when more follows: "
            "end the conversation with that answer, and send later ones as others",
        )
    if text.startswith(after):
        return len(before), len(after)
    # Templates may leave out thoughts of earlier answers: then the rest of the turn is looked for.
    answer = after[len(before) :]
    for length in range(len(answer), 0, -1):
        if text.startswith(answer[-length:], len(before)):
            return len(before), len(before) + length
    raise _refused(
        at, f"the chat template writes messages[{turn}] differently when more follows, in a way that hides it"
    )


def _inside(offsets: Sequence[tuple[int, int]], spans: Sequence[tuple[int, int]]) -> Iterator[bool]:
    """Of each token, whether it begins in one of the spans, which follow each other."""
    left = list(spans)
    for start, stop in offsets:
        while left and start >= left[0][1]:
            left.pop(0)
        yield bool(left) and stop > start and start >= left[0][0]


def shortened(sequence: Encoded, at: int, params: EncodeParams) -> Encoded:
    """At most as long as was asked for. Raises RequestError where that is not to be cut."""
    most = params.max_length
    if most is None or len(sequence.tokens) <= most:
        return sequence
    if params.truncation == "left":
        return Encoded(sequence.tokens[-most:], sequence.labels[-most:])
    if params.truncation == "right":
        return Encoded(sequence.tokens[:most], [*sequence.labels[: most - 1], IGNORED])
    raise _refused(at, f"it has {len(sequence.tokens)} tokens, over the template's max_length of {most}")


def packed(sequences: Sequence[Encoded]) -> EncodedConversations:
    """As bytes, int32, end to end."""
    from array import array

    tokens, labels = array("i"), array("i")
    for one in sequences:
        tokens.extend(one.tokens)
        labels.extend(one.labels)
    lengths = [len(one.tokens) for one in sequences]
    return EncodedConversations(tokens=tokens.tobytes(), labels=labels.tobytes(), lengths=lengths)


def _refused(at: int, why: str) -> RequestError:
    return RequestError("INVALID_REQUEST", f"inputs[{at}]: {why}", "inputs")
