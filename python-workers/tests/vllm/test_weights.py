"""New weights under a running engine: from a folder, from shared segments, on one process and on ranks; refused ones change nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gang_support
import pytest
from gang_support import Nursery, TestGang, attached
from vllm_http import Client
from vllm_support import MODEL, launch, plain_tokens
from weights_support import SharedTensors, checkpoint, noisy, tensors

from twinkle_worker.engines import create_engine
from twinkle_worker.protocol import LoadParams

PROMPTS = ["The robot went to", "Once upon a time there was a", "Hello", "Count: one two three"]
TOKENS = 12
UPDATE = "/twinkle/update_weights"


def say(client: Client, prompts: list[str] = PROMPTS) -> list[list[int]]:
    answers = [client.generate(text, TOKENS, ignore_eos=True)[1] for text in prompts]
    client.finish(*answers)
    return [[token for part in answer.parts for token in part.token_ids] for answer in answers]


def update(client: Client, **body: Any) -> Any:
    return client.post(UPDATE, body)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A second checkpoint."""
    return checkpoint(tmp_path_factory.mktemp("weights") / "other", noisy(1))


@pytest.fixture(scope="module")
def third() -> Iterator[SharedTensors]:
    """A third one, in shared memory."""
    shared = SharedTensors("third", noisy(2))
    yield shared
    os.close(shared.fd)


@pytest.fixture(scope="module")
def client(third: SharedTensors) -> Iterator[Client]:
    engine = create_engine("vllm", launch())
    client = Client(engine)
    client.segments = attached([third.triple])  # type: ignore[attr-defined]
    engine.use_segments(client.segments)  # type: ignore[attr-defined]
    options = {"dtype": "float32", "max_model_len": 512, "max_num_seqs": 32, "served_model_name": ["demo"]}
    engine.load(LoadParams(model=MODEL, options=options), lambda *_: None)
    yield client
    engine.close()


@pytest.fixture(scope="module")
def first(client: Client) -> list[list[int]]:
    """What the model says with its own weights."""
    return say(client)


def fresh(folder: str) -> list[list[int]]:
    """What a plain vLLM of these weights says."""
    wanted = {"temperature": 0.0, "max_tokens": TOKENS, "ignore_eos": True}
    return plain_tokens(folder, PROMPTS, [wanted] * len(PROMPTS))


@pytest.fixture(scope="module")
def second(client: Client, first: list[list[int]], other: str) -> list[list[int]]:
    """What it says with the second checkpoint's, and then has its own again."""
    answer = update(client, path=other)
    assert (answer.status, answer.json) == (200, {"status": "updated", "tensors": 46})
    said = say(client)
    assert update(client).status == 200
    return said


def test_answers_are_those_of_the_folder(second: list[list[int]], first: list[list[int]], other: str) -> None:
    assert second != first
    assert second == fresh(other)


def test_the_weights_of_the_start_come_back(client: Client, second: Any, first: list[list[int]]) -> None:
    assert say(client) == first
    assert update(client, path=MODEL).status == 200
    assert say(client) == first


def test_bytes_in_a_segment_are_as_good_as_a_file(
    client: Client, first: list[list[int]], third: SharedTensors, tmp_path: Path
) -> None:
    assert update(client, path=checkpoint(tmp_path / "third", noisy(2), config=False)).status == 200
    expected = say(client)
    assert update(client).status == 200
    assert update(client, tensors=third.handles).status == 200
    assert say(client) == expected != first
    # Nothing looks at the pages any more: else this would raise BufferError.
    client.segments.detach("third")  # type: ignore[attr-defined]
    assert say(client) == expected
    refused = update(client, tensors=third.handles)
    assert refused.status == 400
    assert "is not attached" in refused.json["error"]["message"]
    assert say(client) == expected
    client.segments = None  # type: ignore[attr-defined]
    assert update(client).status == 200


def test_what_runs_ends_first_or_goes_on_or_is_aborted(client: Client, first: Any, second: Any, other: str) -> None:
    def under_way() -> Any:
        answer = client.generate(PROMPTS[1], 60, ignore_eos=True)[1]
        while len(answer.parts) < 5:
            client.turn()
        return answer

    alone = client.finish(client.generate(PROMPTS[1], 60, ignore_eos=True)[1]).text
    running = under_way()
    done = client.begin("POST", UPDATE, {"path": other})[1]
    while not client.engine.loaded._core.is_scheduler_paused():  # type: ignore[attr-defined]
        client.turn()
    assert not running.ended
    # Sent while it waits for the first: answered by the new weights.
    late = client.generate(PROMPTS[0], TOKENS, ignore_eos=True)[1]
    client.finish(running, done, late)
    assert running.text == alone
    assert [token for part in late.parts for token in part.token_ids] == second[0]
    running = under_way()
    before = len(running.parts)
    assert client.post(UPDATE, {"mode": "keep"}).status == 200
    assert not running.ended
    client.finish(running)
    assert sum(len(part.token_ids) for part in running.parts) == 60 > before
    running = under_way()
    assert client.post(UPDATE, {"path": other, "mode": "abort"}).status == 200
    assert running.ended
    assert running.parts[-1].finish == "abort"
    assert say(client) == second
    assert update(client).status == 200
    assert say(client) == first


def test_a_prompt_in_the_cache_is_computed_anew(client: Client, other: str) -> None:
    long = "Once upon a time there was a small robot that lived in the forest with its friend the owl. " * 4
    once = say(client, [long])
    assert say(client, [long]) == once
    assert update(client, path=other).status == 200
    renewed = say(client, [long])
    assert client.post("/reset_prefix_cache").status in (200, 404)
    assert say(client, [long]) == renewed != once
    assert update(client).status == 200


def test_who_was_paused_stays_so(client: Client, first: Any, second: Any, other: str) -> None:
    core = client.engine.loaded._core  # type: ignore[attr-defined]
    core.pause_scheduler("keep")
    waiting = client.generate(PROMPTS[0], TOKENS, ignore_eos=True)[1]
    assert update(client, path=other).status == 200
    assert core.is_scheduler_paused()
    assert waiting.parts == []
    core.resume_scheduler()
    client.finish(waiting)
    assert [token for part in waiting.parts for token in part.token_ids] == second[0]
    assert update(client).status == 200


def wrong(change: str) -> dict[str, Any]:
    weights = tensors()
    name = "model.layers.1.mlp.up_proj.weight"
    match change:
        case "unknown":
            weights["model.layers.9.mlp.up_proj.weight"] = weights[name].clone()
        case "missing":
            del weights[name]
        case "larger":
            weights[name] = weights[name].repeat(2, 1)
        case "dtype":
            weights[name] = weights[name].char()
    return weights


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("unknown", "tensor `model.layers.9.mlp.up_proj.weight` is none of the model's"),
        ("missing", "tensor `model.layers.1.mlp.up_proj.weight` is missing"),
        (
            "larger",
            "expected bfloat16[768, 256] for tensor `model.layers.1.mlp.up_proj.weight` but received bfloat16[1536, 256]",
        ),
        ("dtype", "for tensor `model.layers.1.mlp.up_proj.weight` but received int8[768, 256]"),
    ],
)
def test_a_wrong_tensor_is_named_and_nothing_changes(
    client: Client, first: Any, tmp_path: Path, change: str, words: str
) -> None:
    folder = checkpoint(tmp_path / "wrong", wrong(change))
    answer = update(client, path=folder)
    assert answer.status == 400
    assert words in answer.json["error"]["message"]
    assert answer.json["error"]["code"] == "invalid_request"
    assert say(client) == first


def test_other_folders_and_requests_are_refused_with_a_reason(client: Client, first: Any, tmp_path: Path) -> None:
    def refused(**body: Any) -> str:
        answer = update(client, **body)
        assert answer.status == 400, answer.body
        return answer.json["error"]["message"]

    (tmp_path / "empty").mkdir()
    assert "has no weights" in refused(path=str(tmp_path / "empty"))
    folder = Path(checkpoint(tmp_path / "cut", noisy(1)))
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-1000])
    assert "is no complete safetensors file" in refused(path=str(folder))
    folder = Path(checkpoint(tmp_path / "shape", noisy(1)))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_attention_heads": 8}))
    assert "expected `num_attention_heads` 4" in refused(path=str(folder))
    assert "expected one of" in refused(path=MODEL, tensors=[])
    assert "$.mode" in refused(path=MODEL, mode="soon")
    assert say(client) == first


def test_the_route_is_offered_to_nobody(client: Client) -> None:
    card = client.engine.loaded.card  # type: ignore[attr-defined]
    assert UPDATE not in card.routes
    assert "/v1/responses" in card.routes


def test_half_written_weights_end_the_engine(client: Client, other: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last of this engine: it must not answer any more."""
    core = client.engine.loaded._core  # type: ignore[attr-defined]
    runner = core.model_executor.driver_worker.worker.model_runner

    def fail(weights_iterator: Any) -> None:
        next(iter(weights_iterator))
        raise MemoryError("no room")

    monkeypatch.setattr(runner, "reload_weights", fail)
    answer = client.begin("POST", UPDATE, {"path": other})[1]
    with pytest.raises(RuntimeError, match="replaced in part"):
        client.finish(answer)


@pytest.mark.parametrize("layout", ["tensor_parallel_size", "pipeline_parallel_size"])
def test_ranks_write_what_they_have_of_it(
    client: Client, first: Any, second: Any, other: str, third: SharedTensors, layout: str
) -> None:
    client.engine.close()
    os.environ.update(gang_support.ENVIRONMENT)
    nursery = Nursery()
    try:
        with TestGang(nursery, 2, shared=[third.triple]) as gang:
            engine = create_engine("vllm", launch("engine", 2, 2, gang.ends))
            options = {"dtype": "float32", "max_model_len": 256, "max_num_seqs": 8, layout: 2}
            engine.load(LoadParams(model=MODEL, options=options), lambda *_: None)
            ranks = Client(engine)
            assert say(ranks) == first
            assert update(ranks, path=other).status == 200
            assert say(ranks) == second
            missing = [{**one, "tensor": {**one["tensor"], "segment": "nowhere"}} for one in third.handles]
            refused = update(ranks, tensors=missing)
            assert refused.status == 400
            assert "'nowhere' is not attached" in refused.json["error"]["message"]
            assert say(ranks) == second
            assert update(ranks, tensors=third.handles).status == 200
            assert say(ranks) not in (first, second)
            assert update(ranks).status == 200
            assert say(ranks) == first
            engine.close()
    finally:
        nursery.close()
