"""Slabs mapped into this process."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
from core_support import PATIENCE_S, rig, together

from twinkle_node.core.protocol import SlabPlace
from twinkle_node.core.slabs import Slabs, aligned

SIZE = 1 << 16


@pytest.fixture
def place() -> Iterator[SlabPlace]:
    fd = os.memfd_create("slab")
    os.ftruncate(fd, SIZE)
    yield SlabPlace(os.getpid(), fd, SIZE)
    os.close(fd)


def test_parts_end_at_multiples_of_64() -> None:
    assert [aligned(size) for size in (0, 1, 64, 65, 1000)] == [0, 64, 64, 128, 1024]


def test_a_slab_is_mapped_once_each_way_and_reading_cannot_write(place: SlabPlace) -> None:
    asked: list[int] = []
    slabs = Slabs(lambda slab: (asked.append(slab), place)[1])
    slabs.writing(3)[0:4] = b"abcd"
    assert slabs.reading(3)[0:4] == b"abcd"
    assert slabs.reading(3) is slabs.reading(3)
    assert asked == [3, 3]
    with pytest.raises(TypeError):
        slabs.reading(3)[0] = 1
    slabs.forget(3)
    slabs.reading(3)
    assert asked == [3, 3, 3]


def test_threads_that_map_the_same_get_the_same(place: SlabPlace) -> None:
    slabs = Slabs(lambda _: place)
    got: list[Any] = []
    together(*[lambda: got.append(slabs.reading(1))] * 6)
    assert len({id(one) for one in got}) == 1


def test_a_slab_may_go_while_another_is_asked_for(place: SlabPlace) -> None:
    """The thread that waits for the answer is the one that hears that a slab has gone."""
    script = {
        "slab.where": lambda *_: (
            made.service.tell("slab.gone", {"slab": 1}),
            {"pid": place.pid, "fd": place.fd, "size": SIZE},
        )[1]
    }
    with rig(script, background=False) as made:
        slabs = Slabs(
            lambda slab: SlabPlace(
                **made.link.call("slab.where", {"slab": slab}, deadline=time.monotonic() + PATIENCE_S)[0]
            )
        )
        slabs.reading(2)
        told = made.told.add
        made.told.add = lambda one: (slabs.forget(one[1]["slab"]), told(one))[0]  # type: ignore[method-assign]
        together(lambda: slabs.reading(1))
        assert made.told.all
