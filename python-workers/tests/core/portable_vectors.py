"""Values whose portable bytes are fixed in test/fixtures/portable-vectors.json, which Node's tests read, too.

``PYTHONPATH=. python tests/core/portable_vectors.py`` (from python-workers, with numpy) writes what Python packs them as, and leaves
what Node packs: that is in what test/unit/work/portable-vectors.test.ts says when a new one has none yet.
"""

from __future__ import annotations

import base64
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from twinkle_node.core.pickler import reference_class
from twinkle_node.core.portable import DTYPES
from twinkle_node.core.value import Packed, pack

FIXTURE = Path(__file__).parents[3] / "test" / "fixtures" / "portable-vectors.json"


@reference_class
class Stand:
    """Stands for an ObjectRef, or an actor's handle."""

    def __init__(self, *payload: Any) -> None:
        self.payload = payload

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stand) and other.payload == self.payload

    __hash__ = None  # pyright: ignore[reportAssignmentType]


CARD = b"\x83\xa2id\xa39.1\xa8cls_name\xa7Counter\xa7methods\x80"
"""A card as msgpack: {id: "9.1", cls_name: "Counter", methods: {}}."""

VALUES: dict[str, Any] = {
    "null": None,
    "booleans": [True, False],
    "whole numbers": [
        *(0, 1, -1, 127, 128, 255, 256, -32, -33, -128, -129, 65535, 65536, -32768, -32769),
        *(2**31 - 1, 2**31, 2**32 - 1, 2**32, -(2**31), -(2**31) - 1, 2**53 - 1, 1 - 2**53),
    ],
    "64 bits": [2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63), 2**63, 2**64 - 1],
    "floats": [1.5, -0.1, 5e-324, 1.7976931348623157e308, math.inf, -math.inf],
    "minus zero": [-0.0, {"zero": -0.0}],
    "not a number": math.nan,
    "strings": ["", "ascii", "é", "漢字", "😀", "\x00", "x" * 31, "x" * 32, "ü" * 300],
    "bytes": b"\x00\xff\x80",
    "bytes inside": [b"", b"\x00\xff", {"b": b"z" * 600}],
    "lists": [[], [[]], list(range(20)), [None] * 15, [None] * 16],
    "maps": {"": {}, "a b": {"é": 1}, "10": "ten", "2": "two"},
    "names of objects": {"__proto__": {"__proto__": 1}, "constructor": 2, "toString": None},
    **{f"array {name}": np.arange(6).astype(name).reshape(2, 3) for name in DTYPES},
    "array of one number": [np.float64(1.5), np.int32(-7), np.bool_(True), np.uint64(2**64 - 1)],
    "empty array": np.zeros((2, 0, 3), np.float32),
    "large arrays": [np.arange(100, dtype=np.float64), {"b": np.arange(513).astype(np.uint8)}],
    "references": [Stand("ref", "3.14"), {"actor": Stand("actor", "9.1", CARD)}],
}


def packed(value: Any) -> Packed:
    return pack(value, portable=True, ref_hook=lambda one: one.payload)


def text(part: bytes | memoryview) -> str:
    return base64.b64encode(part).decode()


def vectors() -> list[dict[str, Any]]:
    """As the fixture has them."""
    found = json.loads(FIXTURE.read_text()) if FIXTURE.exists() else []
    return list(found)


if __name__ == "__main__":
    known = {vector["name"]: vector.get("node") for vector in vectors()}
    written = []
    for name, value in VALUES.items():
        made = packed(value)
        parts = [text(part) for part in (made.head, *made.buffers)]
        written.append({"name": name, "format": made.format, "python": parts, "node": known.get(name)})
    FIXTURE.write_text("[\n" + ",\n".join(f"  {json.dumps(vector)}" for vector in written) + "\n]\n")
