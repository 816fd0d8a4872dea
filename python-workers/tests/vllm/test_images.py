"""Images in chats of a model that sees, without ``--allowed-local-media-path``: what a file of this machine is answered."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tiny_models import IMAGE_SIZE, make
from vllm_http import Answer, Client
from vllm_support import loaded


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("vision")
    make("vision", folder)
    engine = loaded(str(folder), max_model_len=64, max_num_seqs=2)
    yield Client(engine)
    engine.close()


def png() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (IMAGE_SIZE, IMAGE_SIZE), (255, 0, 0)).save(out, "PNG")
    return out.getvalue()


def see(client: Client, url: str) -> Answer:
    parts: list[Any] = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "what is this"}]
    body = {"model": "demo", "messages": [{"role": "user", "content": parts}], "max_tokens": 4, "ignore_eos": True}
    return client.post("/v1/chat/completions", body)


def test_a_file_is_refused_with_the_flag_that_would_allow_it(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "red.png"
    path.write_bytes(png())
    for url in (path.as_uri(), "file:///nowhere/x.png"):
        refused = see(client, url)
        assert refused.status == 400, refused.body
        assert refused.json["error"]["type"] == "BadRequestError"
        assert "--allowed-local-media-path" in refused.json["error"]["message"]
    assert see(client, "data:image/png;base64," + base64.b64encode(png()).decode()).status == 200
