"""Text from tokens: whole characters only, stop strings across tokens, the same as decoding at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hf_support import generate, request, some_tokens
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from twinkle_worker.engines.base import Engine
from twinkle_worker.engines.hf.detokenizer import ByteDetokenizer, WindowDetokenizer, create_detokenizer
from twinkle_worker.engines.hf.stop_matcher import StopMatcher
from twinkle_worker.engines.hf.text_stream import TextStream
from twinkle_worker.engines.hf.token_text import TokenTexts

Load = Callable[..., Engine]


@pytest.fixture(scope="module")
def byte_tokenizer(model_folder: Callable[[str], Path]) -> Any:
    return AutoTokenizer.from_pretrained(model_folder("qwen3"))


@pytest.fixture(scope="module")
def metaspace_tokenizer() -> Any:
    """As Llama 2's: spaces as U+2581, unknown characters as byte tokens, the first space stripped when decoding."""
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *"▁thefoxandmr"]
    merges = [("▁", "t"), ("h", "e"), ("▁t", "he"), ("a", "n"), ("an", "d"), ("▁", "and"), ("f", "o"), ("fo", "x")]
    vocabulary = list(dict.fromkeys([*pieces, *("".join(merge) for merge in merges)]))
    tokenizer = Tokenizer(
        models.BPE({token: at for at, token in enumerate(vocabulary)}, merges, byte_fallback=True, unk_token="<unk>")
    )
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", bos_token="<s>", unk_token="<unk>")


def oracle(text: str, stops: list[str], include: bool) -> tuple[str, str | None]:
    """What a reader sees who goes through the whole text by character and halts at the first complete stop string."""
    for end in range(1, len(text) + 1):
        complete = [stop for stop in stops if text[:end].endswith(stop)]
        if complete:
            stop = max(complete, key=len)
            return (text[:end] if include else text[: end - len(stop)]), stop
    return text, None


PIECES = st.lists(st.text("ab😀", max_size=4), max_size=12)
STOPS = st.lists(st.text("ab😀", min_size=1, max_size=5), max_size=4)


@settings(max_examples=400, deadline=None)
@given(PIECES, STOPS, st.booleans())
def test_stop_strings_do_not_depend_on_how_text_is_cut(pieces: list[str], stops: list[str], include: bool) -> None:
    matcher = StopMatcher(stops, include)
    got = ""
    for piece in pieces:
        got += matcher.push(piece)
        if matcher.matched is not None:
            break
    else:
        got += matcher.flush()
    assert (got, matcher.matched) == oracle("".join(pieces), stops, include)


@settings(max_examples=200, deadline=None)
@given(PIECES, STOPS)
def test_text_is_held_back_only_while_it_could_begin_a_stop(pieces: list[str], stops: list[str]) -> None:
    matcher, seen, got = StopMatcher(stops, False), "", ""
    for piece in pieces:
        seen += piece
        got += matcher.push(piece)
        if matcher.matched is not None:
            return
        held = seen[len(got) :]
        assert got + held == seen
        assert held == "" or any(stop.startswith(held) for stop in stops)


TEXTS = st.text(st.sampled_from("the fox 😀👩‍👧é日本語\n\t  ñ�a"), max_size=24)


@settings(max_examples=150, deadline=None)
@given(data=st.data(), text=TEXTS, include=st.booleans())
def test_streamed_text_is_the_decoded_text_up_to_the_stop(
    byte_tokenizer: Any, data: st.DataObject, text: str, include: bool
) -> None:
    tokens = byte_tokenizer(text, add_special_tokens=False)["input_ids"]
    middle = data.draw(st.integers(0, max(0, len(text) - 1)))
    stops = [
        text[middle : middle + data.draw(st.integers(1, 6))] or "x",
        *data.draw(st.lists(TEXTS.filter(bool), max_size=2)),
    ]
    texts = TokenTexts(byte_tokenizer)
    stream = TextStream(ByteDetokenizer(texts, True), StopMatcher(stops, include))
    got = ""
    for token in tokens:
        got += stream.push(token, True)
        if stream.stopped_by is not None:
            break
    else:
        got += stream.finish()
    assert (got, stream.stopped_by) == oracle(text, stops, include)


@settings(max_examples=200, deadline=None)
@given(tokens=st.lists(st.integers(0, 383), max_size=30), skip=st.booleans())
def test_any_tokens_stream_as_the_tokenizer_decodes_them(byte_tokenizer: Any, tokens: list[int], skip: bool) -> None:
    texts = TokenTexts(byte_tokenizer)
    assert texts.byte_level
    detokenizer = create_detokenizer(byte_tokenizer, texts, [], skip)
    assert isinstance(detokenizer, ByteDetokenizer)
    got = "".join([detokenizer.push(token) for token in tokens]) + detokenizer.flush()
    assert got == byte_tokenizer.decode(tokens, skip_special_tokens=skip, clean_up_tokenization_spaces=False)


@settings(max_examples=100, deadline=None)
@given(text=st.text(st.sampled_from("the fox and 😀é日 more"), min_size=1, max_size=20), split=st.integers(0, 8))
@example(text="aéé日é", split=8)  # the window would begin within a character
def test_window_detokenizer_goes_on_where_the_prompt_ends(metaspace_tokenizer: Any, text: str, split: int) -> None:
    texts = TokenTexts(metaspace_tokenizer)
    assert not texts.byte_level
    tokens = metaspace_tokenizer("the" + text, add_special_tokens=False)["input_ids"]
    whole = metaspace_tokenizer.decode(tokens)
    split = min(1 + split, len(tokens))
    before = metaspace_tokenizer.decode(tokens[:split])
    if before.endswith("\ufffd"):
        return
    detokenizer = create_detokenizer(metaspace_tokenizer, texts, tokens[:split], True)
    assert isinstance(detokenizer, WindowDetokenizer)
    pieces = [detokenizer.push(token) for token in tokens[split:]]
    assert not any("\ufffd" in piece for piece in pieces)
    assert before + "".join(pieces) + detokenizer.flush() == whole


def test_no_character_is_sent_in_halves(byte_tokenizer: Any) -> None:
    text = "a😀b👩‍👩‍👧c日本"
    tokens = byte_tokenizer(text, add_special_tokens=False)["input_ids"]
    detokenizer = ByteDetokenizer(TokenTexts(byte_tokenizer), True)
    pieces = [detokenizer.push(token) for token in tokens]
    assert "" in pieces, "no token ends within a character: the test shows nothing"
    assert "".join(pieces) == text
    assert detokenizer.flush() == ""


def test_a_character_cut_off_at_the_end_is_replaced(byte_tokenizer: Any) -> None:
    tokens = byte_tokenizer("ok😀", add_special_tokens=False)["input_ids"]
    texts = TokenTexts(byte_tokenizer)
    assert texts.bytes_of(tokens[-1])[0] >= 0x80
    detokenizer = ByteDetokenizer(texts, True)
    got = "".join(detokenizer.push(token) for token in tokens[:-1])
    assert got == "ok"
    assert detokenizer.flush() == "\ufffd"


def test_token_bytes_put_together_are_the_text(byte_tokenizer: Any, metaspace_tokenizer: Any) -> None:
    for tokenizer, space in ((byte_tokenizer, ""), (metaspace_tokenizer, " ")):
        texts = TokenTexts(tokenizer)
        tokens = tokenizer("the fox 😀é", add_special_tokens=False)["input_ids"]
        assert b"".join(texts.bytes_of(token) for token in tokens).decode() == f"{space}the fox 😀é"
    assert TokenTexts(byte_tokenizer).bytes_of(100_000) == b""


def test_special_tokens_are_shown_on_request(load: Load) -> None:
    forced: list[tuple[int, float]] = [(1, 100.0)]
    hidden, shown = generate(
        load(),
        request([5], max_tokens=2, logit_bias=forced),
        request([5], max_tokens=2, logit_bias=forced, skip_special_tokens=False),
    )
    assert (hidden.only.text, shown.only.text) == ("", "<|im_start|><|im_start|>")


def test_stop_strings_across_tokens_in_an_answer(load: Load) -> None:
    engine = load()
    tokens = some_tokens(10, 1)
    [free] = generate(engine, request(tokens, max_tokens=40, temperature=1.0, seed=2))
    text = free.only.text
    stop = text[len(text) // 2 - 3 : len(text) // 2 + 3]
    for include in (False, True):
        changes = {"stop": [stop], "include_stop_str_in_output": include, "max_tokens": 40}
        [outcome] = generate(engine, request(tokens, temperature=1.0, seed=2, **changes))
        answer = outcome.only
        assert (answer.finish, answer.stop_reason) == ("stop", stop)
        assert answer.text == text[: text.index(stop)] + (stop if include else "")
        assert answer.tokens == free.only.tokens[: len(answer.tokens)]
        assert len(answer.tokens) < 40


def test_a_stop_string_completed_by_the_last_token_is_a_stop(load: Load) -> None:
    engine = load()
    [free] = generate(engine, request(some_tokens(10, 1), max_tokens=5))
    engine_texts = engine.loaded._parts.texts  # type: ignore[attr-defined]
    last = engine_texts.text_of(free.only.tokens[-1])
    assert last
    assert last not in free.only.text[: -len(last)]
    [outcome] = generate(engine, request(some_tokens(10, 1), max_tokens=5, stop=[last]))
    assert (outcome.only.finish, outcome.only.stop_reason) == ("stop", last)


def test_stop_strings_before_min_tokens_do_not_count(load: Load, byte_tokenizer: Any) -> None:
    [letter] = byte_tokenizer("a", add_special_tokens=False)["input_ids"]
    forced: list[tuple[int, float]] = [(letter, 100.0)]
    [outcome] = generate(load(), request([5], max_tokens=10, min_tokens=3, stop=["a"], logit_bias=forced))
    assert (outcome.only.text, len(outcome.only.tokens), outcome.only.finish) == ("aaa", 4, "stop")


def test_a_stop_token_in_the_output_on_request(load: Load) -> None:
    engine = load()
    [free] = generate(engine, request(some_tokens(10, 1), max_tokens=10))
    stop = free.only.tokens[4]
    at = free.only.tokens.index(stop)
    texts = engine.loaded._parts.texts  # type: ignore[attr-defined]
    for include in (False, True):
        changes = {"stop_token_ids": [stop], "include_stop_str_in_output": include, "stop": ["\u0001never"]}
        [outcome] = generate(engine, request(some_tokens(10, 1), max_tokens=10, **changes))
        kept = free.only.tokens[: at + 1 if include else at]
        expected = b"".join(texts.bytes_of(token) for token in kept).decode("utf-8", "replace")
        assert (outcome.only.text, outcome.only.stop_reason) == (expected, stop)
        assert outcome.only.tokens == free.only.tokens[: at + 1]
