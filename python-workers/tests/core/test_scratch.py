"""Memory that is lent to workers: where parts lie, when they are used again, and what is read of them."""

from __future__ import annotations

import gc
import os
import random
import threading
from typing import Any

import msgspec
import numpy as np
import pytest

from twinkle_node.core.borrowed import Borrowed, opened
from twinkle_node.core.protocol import Lend, Value
from twinkle_node.core.scratch import Lent, ScratchPool
from twinkle_node.core.slabs import aligned
from twinkle_node.core.stored import sizes_of
from twinkle_node.core.value import pack_call


def lend(pool: ScratchPool, *args: Any) -> tuple[Lent | None, Value]:
    packed = pack_call(args, {})
    lent = pool.lend((packed.head, *packed.buffers), sizes_of(packed))
    return lent, Value(packed.format, sizes_of(packed), "", [], None if lent is None else lent.loan)


def read(lent: Lent, value: Value, back: list[int]) -> Any:
    assert value.loan is not None
    borrowed = Borrowed(lambda: back.append(1))
    return borrowed.read(opened(lent.scratch.lend), value.loan, value, lambda _: None)


def test_what_is_lent_is_read_elsewhere_read_only_and_given_back_when_no_view_is_left() -> None:
    lent, value = lend(ScratchPool(), np.arange(1000.0), b"x" * 5000, np.arange(7))
    assert lent is not None
    back: list[int] = []
    (first, middle, last), _ = read(lent, value, back)
    assert np.array_equal(first, np.arange(1000.0))
    assert middle == b"x" * 5000
    assert last.tolist() == list(range(7))
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 1
    part = first[10:20]
    del first, last
    gc.collect()
    assert back == []
    assert part[0] == 10
    del part
    gc.collect()
    assert back == [1]


def test_what_has_no_arrays_is_given_back_at_once() -> None:
    lent, value = lend(ScratchPool(), "text " * 1000)
    assert lent is not None
    back: list[int] = []
    args, _ = read(lent, value, back)
    assert args == ("text " * 1000,)
    assert back == [1]


def test_a_part_is_used_again_when_nobody_has_it_and_not_before() -> None:
    pool = ScratchPool(size=64 * 1024, largest=32 * 1024)
    first, _ = lend(pool, b"a" * 30_000)
    second, _ = lend(pool, b"b" * 30_000)
    assert first is not None
    assert second is not None
    assert lend(pool, b"c" * 30_000)[0] is None
    at = first.at
    del first
    third, value = lend(pool, b"c" * 30_000)
    assert third is not None
    assert third.at == at
    assert read(third, value, [])[0] == (b"c" * 30_000,)


def test_what_is_too_large_is_not_lent() -> None:
    assert lend(ScratchPool(largest=10_000), b"a" * 10_001)[0] is None


def test_memory_with_a_part_that_never_came_back_is_left_alone_and_ends_with_it() -> None:
    pool = ScratchPool(size=64 * 1024, largest=32 * 1024)
    lost, value = lend(pool, np.arange(2000.0))
    other, _ = lend(pool, b"b" * 1000)
    assert lost is not None
    assert other is not None
    array = read(lost, value, [])[0][0]
    lost.spoil()
    number, fd = lost.scratch.number, lost.scratch.lend.fd
    del lost
    later = [lend(pool, bytes([at]) * 30_000)[0] for at in range(2)]
    assert {one.scratch.number for one in later if one is not None} == {number + 1}
    assert array.tolist() == list(range(2000))
    assert os.readlink(f"/proc/self/fd/{fd}").startswith("/memfd:twinkle-arguments")
    del other
    gc.collect()
    # Its descriptor is closed, or has been given to another file since.
    assert not os.path.exists(f"/proc/self/fd/{fd}") or fd in {one.scratch.lend.fd for one in later if one is not None}
    assert array.tolist() == list(range(2000))  # who has mapped it keeps it


def test_a_process_without_files_left_lends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: Any) -> int:
        raise OSError(24, "Too many open files")

    pool = ScratchPool()
    with monkeypatch.context() as patched:
        patched.setattr(os, "memfd_create", refuses)
        assert lend(pool, b"a" * 1000)[0] is None
    assert lend(pool, b"a" * 1000)[0] is not None


def test_a_descriptor_that_is_another_file_s_by_now_is_not_read() -> None:
    lent, _ = lend(ScratchPool(), b"a" * 1000)
    assert lent is not None
    told = lent.scratch.lend
    other = os.memfd_create("other")
    os.ftruncate(other, told.size)
    with pytest.raises(OSError, match="is gone"):
        opened(msgspec.structs.replace(told, fd=other))
    os.close(other)


@pytest.mark.parametrize("loan", [(-64, 10), (4000, 200), (0, 5000)])
def test_a_loan_outside_of_the_memory_is_refused(loan: tuple[int, int]) -> None:
    fd = os.memfd_create("test")
    os.ftruncate(fd, 4096)
    memory = opened(Lend(0, os.getpid(), fd, os.fstat(fd).st_ino, 4096))
    os.close(fd)
    at, size = loan
    value = Value("raw", [size], "", [])
    with pytest.raises(ValueError, match="within 4096 bytes"):
        Borrowed(lambda: None).read(memory, type("L", (), {"at": at})(), value, lambda _: None)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(4))
def test_parts_of_several_threads_never_overlap(seed: int) -> None:
    pool = ScratchPool(size=256 * 1024, largest=64 * 1024)
    failures: list[str] = []

    def work(number: int) -> None:
        seeded = random.Random(seed * 10 + number)
        held: list[tuple[Lent, Value, bytes]] = []
        for _ in range(400):
            content = bytes([seeded.randrange(256)]) * seeded.randrange(1, 40_000)
            lent, value = lend(pool, content)
            if lent is not None:
                held.append((lent, value, content))
            if held and (lent is None or seeded.random() < 0.5):
                one, told, wanted = held.pop(seeded.randrange(len(held)))
                if read(one, told, [])[0] != (wanted,):
                    failures.append(f"thread {number} read what it had not written")
                del one

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    whole = pool.lend((b"w" * (64 * 1024),), [64 * 1024])
    assert whole is not None
    assert aligned(1) == 64
