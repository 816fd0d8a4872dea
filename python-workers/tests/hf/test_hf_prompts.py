"""Prompts: text, ids and messages to tokens and back, chat templates, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hf_support import generate, prompt, sampling
from transformers import AutoTokenizer

from twinkle_worker.engines.base import Engine, RequestError
from twinkle_worker.protocol import DetokenizeParams, GenerateParams, TokenizeParams

Load = Callable[..., Engine]
HELLO = [{"role": "user", "content": "the fox"}]
RENDERED = "<|im_start|>user\nthe fox<|im_end|>\n<|im_start|>assistant\n"


def tokens_of(engine: Engine, **changes: Any) -> list[int]:
    return engine.tokenize(TokenizeParams(prompt=prompt(**changes), with_tokens=False)).token_ids


def text_of(engine: Engine, **changes: Any) -> str:
    return engine.detokenize(DetokenizeParams(token_ids=tokens_of(engine, **changes))).text


def refusal(engine: Engine, **changes: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        tokens_of(engine, **changes)
    return caught.value


def test_text_there_and_back(load: Load) -> None:
    engine = load()
    text = "héllo 日本語 😀\n\ttwo  spaces <|im_end|>"
    result = engine.tokenize(TokenizeParams(prompt=prompt(text=text), with_tokens=True))
    assert result.max_model_len == 512
    assert result.tokens is not None
    assert len(result.tokens) == len(result.token_ids)
    assert result.tokens[-1] == "<|im_end|>"
    assert engine.detokenize(DetokenizeParams(token_ids=result.token_ids)).text == text


def test_tokenize_tells_the_length_of_a_prompt_that_is_too_long(load: Load) -> None:
    assert len(tokens_of(load(max_model_len=16), token_ids=[5] * 40)) == 40


def test_messages_are_rendered_by_the_models_template(load: Load) -> None:
    engine = load()
    assert text_of(engine, messages=HELLO, add_special_tokens=False) == RENDERED
    assert text_of(engine, messages=HELLO, add_generation_prompt=False) == "<|im_start|>user\nthe fox<|im_end|>\n"
    begun = [*HELLO, {"role": "assistant", "content": "a lazy"}]
    expected = "<|im_start|>user\nthe fox<|im_end|>\n<|im_start|>assistant\na lazy"
    assert text_of(engine, messages=begun, add_generation_prompt=False, continue_final_message=True) == expected


def test_templates_of_request_and_server(load: Load, tmp_path: Path) -> None:
    path = tmp_path / "template.jinja"
    path.write_text(
        "{% for m in messages %}[{{ m.content }}{{ mark }}]{% endfor %}{{ tools and tools[0].function.name }}"
    )
    for engine in (load(chat_template=str(path)), load(chat_template=path.read_text())):
        assert text_of(engine, messages=HELLO, chat_template_kwargs={"mark": "!"}, tools=None) == "[the fox!]None"
    tool = {"type": "function", "function": {"name": "look", "description": "", "parameters": {"type": "object"}}}
    assert text_of(engine, messages=HELLO, tools=[tool]) == "[the fox]look"
    assert text_of(engine, messages=HELLO, chat_template="only {{ messages[0].role }}") == "only user"


def test_text_parts_for_templates_that_want_a_text(load: Load) -> None:
    parts = [{"type": "text", "text": "the"}, {"type": "text", "text": "fox"}]
    rendered = text_of(load(), messages=[{"role": "user", "content": parts}])
    assert rendered == "<|im_start|>user\nthe\nfox<|im_end|>\n<|im_start|>assistant\n"


def test_text_parts_for_templates_that_go_through_them(load: Load) -> None:
    template = "{% for m in messages %}{% for part in m.content %}({{ part.text }}){% endfor %}{% endfor %}"
    parts = [{"type": "text", "text": "the"}, {"type": "text", "text": "fox"}]
    assert text_of(load(), messages=[{"role": "user", "content": parts}], chat_template=template) == "(the)(fox)"


def test_arguments_of_tool_calls_are_objects_in_the_template(load: Load) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "look", "arguments": '{"at": [1, 2]}'}}
    messages = [*HELLO, {"role": "assistant", "content": None, "tool_calls": [call]}]
    template = "{{ messages[1].tool_calls[0].function.arguments['at'][1] }}"
    assert text_of(load(), messages=messages, chat_template=template) == "2"


@pytest.mark.parametrize(
    ("code", "param", "words", "changes"),
    [
        ("CHAT_TEMPLATE", "messages", "no roles here", {"chat_template": "{{ raise_exception('no roles here') }}"}),
        ("CHAT_TEMPLATE", "messages", "refused", {"chat_template": "{% for %}"}),
        ("CHAT_TEMPLATE", "messages", "refused", {"chat_template": "{{ messages[0].content.missing.deeper }}"}),
        ("INVALID_REQUEST", "messages", "at least one", {"messages": []}),
        ("INVALID_REQUEST", "messages", "messages[0]", {"messages": ["hello"]}),
        ("INVALID_REQUEST", "messages", "content", {"messages": [{"role": "user", "content": 5}]}),
        ("INVALID_REQUEST", "messages", "`type`", {"messages": [{"role": "user", "content": [{"text": "x"}]}]}),
        ("INVALID_REQUEST", "chat_template_kwargs", "tokenize", {"chat_template_kwargs": {"tokenize": True}}),
        ("INVALID_REQUEST", "continue_final_message", "exclude", {"continue_final_message": True}),
        (
            "UNSUPPORTED_PARAMETER",
            "messages",
            "image_url",
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}]},
        ),
    ],
)
def test_messages_that_are_refused(load: Load, code: str, param: str, words: str, changes: dict[str, Any]) -> None:
    error = refusal(load(), **{"messages": HELLO, **changes})
    assert (error.code, error.param) == (code, param)
    assert words in str(error)


def test_a_model_without_template_says_so(load: Load) -> None:
    engine = load()
    tokenizer = engine.loaded._parts.tokenizer  # type: ignore[attr-defined]
    tokenizer.chat_template = None
    error = refusal(engine, messages=HELLO)
    assert error.code == "CHAT_TEMPLATE"
    assert "no chat template" in str(error)
    assert text_of(engine, messages=HELLO, chat_template="{{ messages[0].content }}") == "the fox"


@pytest.mark.parametrize("tokens", [[384], [-1], [5, 2**40]])
def test_ids_that_are_none_are_refused(load: Load, tokens: list[int]) -> None:
    engine = load()
    error = refusal(engine, token_ids=tokens)
    assert (error.code, error.param) == ("INVALID_REQUEST", "prompt")
    assert str(tokens[-1]) in str(error)
    with pytest.raises(RequestError):
        engine.detokenize(DetokenizeParams(token_ids=tokens))


def test_an_empty_prompt_is_no_tokens_and_no_request(load: Load) -> None:
    engine = load()
    for empty in ({"text": ""}, {"token_ids": []}, {"messages": HELLO, "chat_template": "{{ '' }}"}):
        assert tokens_of(engine, **empty) == []
        with pytest.raises(RequestError, match="the prompt is empty") as caught:
            engine.add(1, GenerateParams("x", prompt(**empty), sampling(), 1, False))
        assert caught.value.code == "INVALID_REQUEST"
    assert refusal(engine).code == "INVALID_REQUEST"


def test_an_empty_prompt_begins_with_the_models_own_token(load: Load) -> None:
    engine = load()
    engine.loaded._parts.tokenizer.bos_token = "<|endoftext|>"  # type: ignore[attr-defined]
    [outcome] = generate(engine, GenerateParams("x", prompt(text=""), sampling(), 1, True))
    assert outcome.only.prompt is not None
    assert outcome.only.prompt.token_ids == [0]


def test_too_long_messages_name_messages(load: Load) -> None:
    engine = load(max_model_len=16)
    params = GenerateParams("x", prompt(messages=HELLO), sampling(), 1, False)
    with pytest.raises(RequestError, match="your messages resulted in") as caught:
        engine.add(1, params)
    assert (caught.value.code, caught.value.param) == ("CONTEXT_LENGTH_EXCEEDED", "messages")


def test_a_chat_is_answered_as_its_tokens_are(load: Load, model_folder: Callable[[str], Path]) -> None:
    engine = load()
    ids = AutoTokenizer.from_pretrained(model_folder("qwen3"))(RENDERED)["input_ids"]
    chat = GenerateParams("a", prompt(messages=HELLO, add_special_tokens=False), sampling(), 1, True)
    plain = GenerateParams("b", prompt(token_ids=ids), sampling(), 1, False)
    first, second = generate(engine, chat, plain)
    assert first.only.tokens == second.only.tokens
    assert first.only.prompt is not None
    assert first.only.prompt.text == RENDERED
