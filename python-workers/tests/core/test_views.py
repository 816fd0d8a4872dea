"""Views of mapped memory: read-only, without a copy, and with one call when the last of them has gone."""

from __future__ import annotations

import gc
import mmap
import os
import subprocess
import sys
import threading
import weakref
from typing import Any

import numpy as np
import pytest

from twinkle_node.core.value import pack, unpack
from twinkle_node.core.views import pinned_view

SIZE = 1 << 16


@pytest.fixture
def memory() -> tuple[mmap.mmap, mmap.mmap]:
    """One memfd mapped twice: to write, and read-only."""
    fd = os.memfd_create("test")
    os.ftruncate(fd, SIZE)
    writable = mmap.mmap(fd, SIZE)
    writable[:] = bytes(range(256)) * (SIZE // 256)
    readable = mmap.mmap(fd, SIZE, mmap.MAP_SHARED, mmap.PROT_READ)
    os.close(fd)
    return writable, readable


class Closed:
    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> None:
        self.times += 1


def test_a_view_shows_the_memory_and_what_is_written_there_later(memory: Any) -> None:
    writable, readable = memory
    view = pinned_view(readable, 256, 16, Closed())
    assert bytes(view) == bytes(range(16))
    assert (view.format, view.nbytes, view.ndim, view.contiguous, view[3]) == ("B", 16, 1, True, 3)
    writable[256] = 99
    assert view[0] == 99


def test_nothing_over_it_can_be_written(memory: Any) -> None:
    view = pinned_view(memory[0], 0, 16, Closed())
    assert view.readonly
    with pytest.raises(TypeError):
        view[0] = 1
    array = np.frombuffer(view, np.uint8)
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        array.flags.writeable = True


def test_the_last_of_views_slices_and_arrays_closes_it(memory: Any) -> None:
    closed = Closed()
    view = pinned_view(memory[1], 0, 4096, closed)
    steps: list[Any] = [view]
    steps.append(view[16:64])
    steps.append(memoryview(steps[1])[1:])
    steps.append(np.frombuffer(steps[2], np.uint8))
    steps.append(steps[3][4:8].reshape(2, 2).T)
    steps.append(memoryview(steps[4]))
    del view
    while len(steps) > 1:
        del steps[0]
        assert closed.times == 0
    assert steps[0].tolist() == [[21, 23], [22, 24]]
    steps.clear()
    assert closed.times == 1
    gc.collect()
    assert closed.times == 1


def test_releasing_the_view_by_hand_closes_it_once(memory: Any) -> None:
    closed = Closed()
    view = pinned_view(memory[1], 0, 8, closed)
    view.release()
    del view
    gc.collect()
    assert closed.times == 1


def test_an_array_in_a_cycle_closes_it_when_garbage_is_collected(memory: Any) -> None:
    closed = Closed()
    loop: list[Any] = [np.frombuffer(pinned_view(memory[1], 0, 8, closed), np.uint8)]
    loop.append(loop)
    del loop
    gc.collect()
    assert closed.times == 1


def test_the_mapping_lives_as_long_as_its_views_and_no_longer() -> None:
    class Mapping(mmap.mmap):
        pass

    mapping = Mapping(-1, SIZE)
    alive = weakref.ref(mapping)
    view = pinned_view(mapping, 0, 8, Closed())
    with pytest.raises(BufferError):
        mapping.close()
    del mapping
    gc.collect()
    assert bytes(view) == bytes(8)
    assert alive() is not None
    del view
    assert alive() is None


def test_a_mapping_can_be_closed_inside_on_close() -> None:
    mapping = mmap.mmap(-1, SIZE)
    view = pinned_view(mapping, 0, 8, mapping.close)
    del view
    assert mapping.closed


def test_an_unpacked_array_over_a_view_is_what_keeps_it(memory: Any) -> None:
    writable, readable = memory
    packed = pack({"a": np.arange(100), "b": np.ones(50)})
    closed: list[Closed] = []
    buffers = []
    at = 0
    for buffer in packed.buffers:
        writable[at : at + buffer.nbytes] = bytes(buffer)
        closed.append(Closed())
        buffers.append(pinned_view(readable, at, buffer.nbytes, closed[-1]))
        at += 4096
    value = unpack(packed.format, packed.head, buffers)
    del buffers
    assert np.array_equal(value["a"], np.arange(100))
    assert not value["a"].flags.writeable
    kept = value["a"][5:6]
    del value
    assert [each.times for each in closed] == [0, 1]
    del kept
    assert [each.times for each in closed] == [1, 1]


def test_views_that_go_in_many_threads_are_each_closed_once(memory: Any) -> None:
    counts = [Closed() for _ in range(400)]
    shared = [pinned_view(memory[1], at, 64, counts[at]) for at in range(400)]

    def work(number: int) -> None:
        views = [np.frombuffer(view, np.uint8)[number:] for view in shared]
        barrier.wait()
        views.clear()

    barrier = threading.Barrier(5)
    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    barrier.wait()
    shared.clear()
    for thread in threads:
        thread.join()
    gc.collect()
    assert {each.times for each in counts} == {1}


@pytest.mark.parametrize(("offset", "size"), [(-1, 4), (0, -1), (0, SIZE + 1), (SIZE, 1)])
def test_a_range_outside_is_refused_and_never_closed(memory: Any, offset: int, size: int) -> None:
    closed = Closed()
    with pytest.raises(ValueError, match="range"):
        pinned_view(memory[1], offset, size, closed)
    assert closed.times == 0


def test_an_empty_range_has_an_end_too(memory: Any) -> None:
    closed = Closed()
    view = pinned_view(memory[1], SIZE, 0, closed)
    assert bytes(view) == b""
    del view
    assert closed.times == 1


def test_what_on_close_raises_reaches_nobody(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda about: told.append(about.exc_type))

    def fail() -> None:
        raise RuntimeError("x")

    view = pinned_view(memory[1], 0, 8, fail)
    del view
    assert told == [RuntimeError]


def test_a_process_ends_well_with_views_in_use() -> None:
    code = (
        "import mmap, numpy as np\n"
        "from twinkle_node.core.views import pinned_view\n"
        "array = np.frombuffer(pinned_view(mmap.mmap(-1, 4096), 0, 64, lambda: None), np.uint8)\n"
        "print(array.sum())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")
