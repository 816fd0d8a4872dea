"""The other side of test/contract/frames.test.ts: the committed bytes mean the same here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from twinkle_worker.protocol import FromRank, GenerateParams, HttpParams, HttpPart, Items, Open, TokenDelta, ToRank

GOLDEN = json.loads((Path(__file__).parents[3] / "test" / "contract" / "frames.json").read_text())
INCOMING = [entry for entry in GOLDEN if entry["direction"] == "to-rank"]
OUTGOING = [entry for entry in GOLDEN if entry["direction"] == "from-rank"]


def plain(value: Any) -> Any:
    """As JSON sees it: tuples are lists."""
    return json.loads(msgspec.json.encode(value))


def binary(value: Any) -> Any:
    """A value of the file with its bytes as bytes: Node writes a Buffer as an object."""
    if isinstance(value, dict):
        if value.get("type") == "Buffer":
            return bytes(value["data"])
        return {key: binary(field) for key, field in value.items()}
    return [binary(item) for item in value] if isinstance(value, list) else value


def name(entry: dict[str, Any]) -> str:
    return entry["frame"]["t"]


@pytest.mark.parametrize("entry", INCOMING, ids=name)
def test_frames_of_node_are_understood(entry: dict[str, Any]) -> None:
    frame = msgspec.msgpack.decode(bytes.fromhex(entry["hex"]), type=ToRank)
    assert plain(frame) == entry["frame"]
    if isinstance(frame, Open):
        kind = HttpParams if frame.method == "http" else GenerateParams
        params = msgspec.convert(frame.params, kind, strict=False)
        assert plain(params) == entry["frame"]["params"]
        if isinstance(params, GenerateParams):
            assert params.sampling.seed == 2**40 + 1
        else:
            assert params.headers[0] == ("x-request-id", "req-2")


@pytest.mark.parametrize("entry", OUTGOING, ids=name)
def test_frames_to_node_are_what_node_expects(entry: dict[str, Any]) -> None:
    expected = binary(entry["frame"])
    frame = msgspec.convert(expected, FromRank, strict=False)
    if isinstance(frame, Items):
        typed = [
            (stream, msgspec.convert(item, HttpPart if "body" in item else TokenDelta)) for stream, item in frame.items
        ]
        frame = Items(items=typed)
    encoded = msgspec.msgpack.encode(frame)
    assert msgspec.msgpack.decode(encoded) == expected
    assert msgspec.msgpack.decode(bytes.fromhex(entry["hex"])) == expected
