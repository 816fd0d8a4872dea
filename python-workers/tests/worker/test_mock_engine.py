"""The mock engine: the same request gives the same tokens, whatever else runs."""

from __future__ import annotations

import msgspec
import pytest
from mock_support import engine, prompt, request, run

from twinkle_worker.engines.base import LoadError, RequestError
from twinkle_worker.protocol import (
    DetokenizeParams,
    HttpParams,
    HttpPart,
    TokenDelta,
    TokenizeParams,
)


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
