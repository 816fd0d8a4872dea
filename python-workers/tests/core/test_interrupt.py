"""Interrupts of what runs in steps: generators."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from twinkle_node.core.interrupt import Interrupted, Interrupts


@pytest.fixture
def interrupts() -> Iterator[Interrupts]:
    before = signal.getsignal(signal.SIGINT)
    yield Interrupts()
    signal.signal(signal.SIGINT, before)


def test_one_that_comes_too_late_for_a_step_is_there_for_the_next(interrupts: Interrupts) -> None:
    interrupts.begin("1.0")
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # it is on its way
    try:
        assert interrupts.cancel("1.0")
        interrupts.end()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    interrupts.begin("1.1")  # it is not meant
    interrupts.end()
    with pytest.raises(Interrupted):
        interrupts.begin("1.0")
    interrupts.begin("1.0")  # once
    interrupts.end()
