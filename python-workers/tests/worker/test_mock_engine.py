"""The mock engine: the same request gives the same tokens, whatever else runs."""

from __future__ import annotations

import msgspec
import pytest

from twinkle_worker.engines.base import LoadError, RequestError
from twinkle_worker.engines.mock import MockEngine
from twinkle_worker.protocol import (
    DetokenizeParams,
    GenerateEnd,
    GenerateParams,
    HttpParams,
    HttpPart,
    LaunchSpec,
    LoadParams,
    Prompt,
    SamplingParams,
    TokenDelta,
    TokenizeParams,
)

LAUNCH = LaunchSpec("i", "g", 1, 0, 0, 1, "whole", "ipc://x", None, "id", "mock", {}, -1, -1, -1, [], "127.0.0.1", 0)
SAMPLING = SamplingParams(
    max_tokens=8,
    min_tokens=0,
    temperature=1.0,
    top_p=1.0,
    top_k=0,
    min_p=0.0,
    seed=None,
    stop=[],
    stop_token_ids=[],
    include_stop_str_in_output=False,
    ignore_eos=False,
    skip_special_tokens=True,
    presence_penalty=0.0,
    frequency_penalty=0.0,
    repetition_penalty=1.0,
    logit_bias=[],
    logprobs=None,
    prompt_logprobs=None,
)


def prompt(text: str) -> Prompt:
    return Prompt(text, None, None, None, None, {}, True, False, True)


def request(text: str, n: int = 1, **sampling: object) -> GenerateParams:
    return GenerateParams("r", prompt(text), msgspec.structs.replace(SAMPLING, **sampling), n, False)


def engine(**options: object) -> MockEngine:
    made = MockEngine(LAUNCH)
    made.load(LoadParams("m", dict(options)), lambda *_: None)
    return made


def run(made: MockEngine, *requests: GenerateParams) -> list[list[str]]:
    texts = [[""] * each.n for each in requests]
    for stream, each in enumerate(requests):
        made.add(stream, each)
    while made.has_work():
        for stream, item in made.step():
            if isinstance(item, TokenDelta):
                texts[stream][item.choice] += item.text
            else:
                assert isinstance(item, GenerateEnd)
    return texts


def test_tokens_depend_on_prompt_seed_and_choice_only() -> None:
    alone = run(engine(), request("a"))
    together = run(engine(max_num_seqs=3), request("b"), request("a"), request("a", n=2, seed=5))
    assert together[1] == alone[0]
    assert together[0] != alone[0]
    assert len({*together[2], alone[0][0]}) == 3


def test_stop_strings_cut_and_report() -> None:
    (whole,) = run(engine(), request("a"))[0]
    word = whole.split(" ")[3]
    made = engine()
    made.add(0, request("a", stop=[word]))
    items = []
    while made.has_work():
        items += [item for _, item in made.step()]
    assert "".join(item.text for item in items if isinstance(item, TokenDelta)) == whole[: whole.find(word)]
    last = items[-2]
    assert (last.finish, last.stop_reason) == ("stop", word)


def test_abort_forgets_at_once() -> None:
    made = engine()
    made.add(1, request("a"))
    made.step()
    made.abort(1)
    assert not made.has_work()


def test_text_survives_tokenisation() -> None:
    made = engine()
    tokens = made.tokenize(TokenizeParams(prompt("héllo €"), with_tokens=False)).token_ids
    assert made.detokenize(DetokenizeParams(tokens)).text == "héllo €"


def test_refusals() -> None:
    made = engine(max_model_len=4)
    with pytest.raises(RequestError, match="maximum context length is 4"):
        made.add(0, request("abcde"))
    with pytest.raises(RequestError, match="outside the vocabulary"):
        made.detokenize(DetokenizeParams([100000]))
    with pytest.raises(LoadError, match="no option 'speed'"):
        engine(speed=1)
    with pytest.raises(LoadError, match="expected exit:N"):
        engine(fault="explode@now")


def test_more_choices_than_places_are_refused() -> None:
    """They could never be admitted: the request would wait for ever."""
    made = engine(max_num_seqs=2)
    with pytest.raises(RequestError) as refused:
        made.add(0, request("a", n=3))
    assert (refused.value.code, refused.value.param) == ("INVALID_REQUEST", "n")
    assert not made.has_work()


def http(body: str, path: str = "/v1/responses") -> HttpParams:
    return HttpParams("r", "POST", path, "a=1", [("accept", "x")], body)


def test_its_server_answers_the_routes_it_was_given_and_no_other() -> None:
    made = engine(routes="/v1/responses,/echo", step_ms=0)
    made.add_http(1, http('{"input": "hi"}'))
    made.add_http(2, http('{"stream": true, "max_tokens": 2}'))
    made.add_http(3, http('{"stream": true}'))
    made.abort(3)
    with pytest.raises(RequestError, match="no route /other"):
        made.add_http(4, http("{}", "/other"))
    items = [item for _ in range(4) for item in made.step()]
    assert not made.has_work()
    whole = [item for stream, item in items if stream == 1]
    assert isinstance(whole[0], HttpPart)
    assert (whole[0].status, whole[1]) == (200, None)
    assert msgspec.json.decode(whole[0].body)["body"] == {"input": "hi"}
    events = [item.body for stream, item in items if stream == 2 and isinstance(item, HttpPart)]
    assert b"".join(events) == b'data: {"index":0}\n\ndata: {"index":1}\n\ndata: [DONE]\n\n'
    assert all(stream < 3 for stream, _ in items)
