"""``--chat-template``: broken ones end the load before the weights are read, good ones are what both ways of a chat are rendered with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from vllm_http import Client
from vllm_support import MODEL, launch, loaded

from twinkle_worker.engines import create_engine
from twinkle_worker.engines.base import LoadError
from twinkle_worker.engines.vllm.chat_template import read_template
from twinkle_worker.engines.vllm.options import parse_arguments
from twinkle_worker.protocol import LoadParams

FRANCE = [{"role": "user", "content": "What is the capital of France?"}]
# It takes the contents as parts without saying so in a way that vLLM finds out by itself.
OF_PARTS = (
    "{%- for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'][0]['text'] }}<|im_end|>\n{% endfor %}"
    "{%- if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def refusal(template: str, **options: Any) -> str:
    """What a load with that template ends with."""
    phases: list[str] = []
    values = {"dtype": "float32", "max_model_len": 512, "chat_template": template, **options}
    with pytest.raises(LoadError) as caught:
        create_engine("vllm", launch()).load(
            LoadParams(model=MODEL, options=values), lambda phase, *_: phases.append(phase)
        )
    assert "weights" not in phases
    return str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    words = refusal(str(tmp_path / "nowhere.jinja"))
    assert "--chat-template" in words
    assert "nowhere.jinja" in words


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "image.jinja"
    path.write_bytes(b"\x89PNG\xff\xfe")
    assert "image.jinja: " in refusal(str(path))
    assert str(tmp_path) in refusal(str(tmp_path))


def test_a_syntax_error_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "broken.jinja"
    path.write_text("{% for m in messages %}\n{{ m['content'] }\n{% endfor %}")
    words = refusal(str(path))
    assert f"{path} cannot be used: line 2: " in words
    assert "leave --chat-template out" in words
    assert "cannot be used: line 1: " in refusal("{% for m in %}{% endfor %}")


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{ raise_exception('only on Sundays') }}", "only on Sundays"),
        ("{% for m in messages %}{{ nobody(m) }}{% endfor %}", "nobody"),
        ("{{ messages[0]['content'] + 1 }}", "str"),
    ],
)
def test_one_that_raises(template: str, words: str) -> None:
    assert words in refusal(template)


def test_one_that_only_wants_a_system_message_first_or_a_variable_is_fine() -> None:
    picky = "{% if messages[0]['role'] != 'system' %}{{ raise_exception('system first') }}{% endif %}" + OF_PARTS
    wants = "{{ day.upper() }}" + OF_PARTS
    parts = {"chat_template_content_format": "openai"}
    assert "day" in refusal(wants, **parts)
    # The other trouble, which comes later, is all that is left.
    trouble = {"kv_cache_memory_bytes": 1}
    for template, options in ((picky, {}), (wants, {"default_chat_template_kwargs": {"day": "x"}})):
        assert "chat template" not in _late_refusal(template, **parts, **trouble, **options)


def _late_refusal(template: str, **options: Any) -> str:
    values = {"dtype": "float32", "max_model_len": 512, "chat_template": template, **options}
    with pytest.raises(LoadError) as caught:
        create_engine("vllm", launch()).load(LoadParams(model=MODEL, options=values), lambda *_: None)
    return str(caught.value)


def test_a_name_among_vllms_own_is_found() -> None:
    text = read_template(parse_arguments(MODEL, {"chat_template": "template_chatml.jinja"}))
    assert text is not None
    assert "<|im_start|>" in text


def test_both_ways_of_a_chat_use_it_and_the_form_of_its_contents(tmp_path: Path) -> None:
    path = tmp_path / "parts.jinja"
    path.write_text(OF_PARTS)
    engine = loaded(chat_template=str(path), chat_template_content_format="openai", max_num_seqs=4)
    client = Client(engine)
    body = {"model": "demo", "messages": FRANCE, "temperature": 0, "max_tokens": 16}
    relayed = client.post("/v1/chat/completions", body)
    assert "Paris" in relayed.json["choices"][0]["message"]["content"]
    assert client.finish(client.generate(FRANCE, 16)[1]).text == relayed.json["choices"][0]["message"]["content"]
    engine.close()
