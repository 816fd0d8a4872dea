"""Who pumps, who waits, and that nobody waits for nothing."""

from __future__ import annotations

import gc
import os
import socket
import threading
import time

import msgspec
import pytest
from core_support import PATIENCE_S, Service, hello, rig, together

from twinkle_node.core.link import Asked, Link
from twinkle_node.core.protocol import Kept
from twinkle_node.core.pump import Pump
from twinkle_node.core.stream import Stream
from twinkle_node.core.wire import frame
from twinkle_node.errors import TwinkleError


def test_thousands_of_short_waits_of_several_threads_all_end() -> None:
    with rig({"echo": lambda params, _: params}) as made:

        def ask(who: int) -> None:
            for number in range(700):
                value, _ = made.link.call("echo", [who, number], deadline=time.monotonic() + PATIENCE_S)
                assert value == [who, number]

        together(*[lambda who=who: ask(who) for who in range(5)])


def test_waits_also_end_when_the_background_brings_what_is_waited_for() -> None:
    """Between calls the background pumps: whoever comes takes the baton from it, each time anew."""
    with rig({"echo": lambda params, _: params}) as made:
        answered: list[int] = []

        def ask_without_waiting() -> None:
            for number in range(300):
                made.link.ask("echo", number, then=lambda asked: answered.append(asked.value))
                if number % 20 == 0:
                    end = time.monotonic() + 0.006  # the background comes back
                    made.pump.drive(lambda: False, end)
            made.until(lambda: len(answered) == 300)

        def ask() -> None:
            for number in range(300):
                assert made.link.call("echo", number, deadline=time.monotonic() + PATIENCE_S)[0] == number

        together(ask_without_waiting, ask, ask)
        assert answered == list(range(300))


def test_the_deadline_ends_a_wait_of_who_pumps_and_of_who_does_not() -> None:
    pump = Pump()
    began = time.monotonic()
    results: list[bool] = []
    together(*[lambda: results.append(pump.drive(lambda: False, began + 0.05)) for _ in range(3)])
    assert results == [False] * 3
    assert 0.05 <= time.monotonic() - began < 5
    pump.close()


def test_what_another_thread_changes_is_seen_after_a_wake() -> None:
    pump = Pump()
    changed: list[int] = []
    asleep = threading.Event()

    def look() -> bool:
        asleep.set()
        return bool(changed)

    def change() -> None:
        asleep.wait()
        changed.append(1)
        pump.wake()

    waits = [lambda: pump.drive(look, time.monotonic() + PATIENCE_S)] * 3
    together(*waits, change)
    pump.close()


def test_a_nudge_between_the_last_look_and_sleep_is_not_lost() -> None:
    """Whoever nudges has changed something before; the sleeper looks after it has said that it sleeps."""
    counted, seen = [0], [0]
    pump = Pump(lambda: seen.__setitem__(0, counted[0]))
    pump.start()
    end = time.monotonic() + PATIENCE_S
    for number in range(1, 4000):
        counted[0] = number
        pump.nudge()
        if number % 500 == 0:
            while seen[0] != number:
                assert time.monotonic() < end, "a nudge was lost"
                time.sleep(0)
    pump.close()


def test_what_a_frame_causes_may_wait_for_later_frames_which_come_in_their_order() -> None:
    with rig({"echo": lambda params, _: params}, background=False) as made:
        order: list[object] = []

        def nested(asked: Asked) -> None:
            order.append(("in", asked.value))
            order.append(made.link.call("echo", "inner", deadline=time.monotonic() + PATIENCE_S)[0])
            order.append(("out", asked.value))

        made.link.ask("echo", 1, then=nested)
        made.link.ask("echo", 2, then=lambda asked: order.append(asked.value))
        made.until(lambda: ("out", 1) in order)
        assert order == [("in", 1), 2, "inner", ("out", 1)]


def test_in_the_background_too_what_a_frame_causes_may_wait() -> None:
    with rig({"echo": lambda params, _: params}) as made:
        came: list[object] = []
        made.link.ask("echo", 1, then=lambda asked: came.append(made.link.call("echo", 2)[0]))
        end = time.monotonic() + PATIENCE_S
        while not came:
            assert time.monotonic() < end
            time.sleep(0.001)
        assert came == [2]


def test_what_it_does_when_idle_is_done_in_time_while_somebody_waits() -> None:
    times: list[float] = []

    def idle() -> float:
        times.append(time.monotonic())
        return 0.01

    pump = Pump(idle)
    assert pump.drive(lambda: len(times) > 5, time.monotonic() + PATIENCE_S)
    pump.close()


def test_closing_ends_every_wait_and_is_done_once() -> None:
    pump = Pump()
    pump.start()
    waiting = threading.Barrier(4)
    errors: list[str] = []

    def wait() -> None:
        waiting.wait()
        with pytest.raises(TwinkleError) as raised:
            pump.drive(lambda: False)
        errors.append(raised.value.code)

    def close() -> None:
        waiting.wait()
        pump.close()
        pump.close()

    together(wait, wait, wait, close)
    assert errors == ["HEAD_UNREACHABLE"] * 3
    pump.wake()
    pump.want_write(3, True)
    assert pump.drive(lambda: True)


def test_nothing_stays_open_after_it() -> None:
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        with rig({"echo": lambda params, _: params}) as made:
            made.link.call("echo", 1)
        del made
    gc.collect()
    end = time.monotonic() + PATIENCE_S
    while len(os.listdir("/proc/self/fd")) > before:
        assert time.monotonic() < end
        gc.collect()
        time.sleep(0.005)


def test_the_background_sleeps_while_somebody_pumps_for_long_and_comes_back_after() -> None:
    service = Service()
    pump = Pump()
    link = Link(service.theirs, pump, lambda *_: None, lambda _: None)
    link.join(hello(), PATIENCE_S)
    pump.start()
    go = threading.Event()
    parked: list[bool] = []

    def look() -> bool:
        if go.is_set():
            parked.append(pump._parked)
        return go.is_set()

    waiter = threading.Thread(target=pump.drive, args=(look,))
    waiter.start()
    end = time.monotonic() + PATIENCE_S
    while not pump._parked:
        assert time.monotonic() < end
        time.sleep(0.001)
    go.set()
    pump.wake()
    waiter.join(PATIENCE_S)
    assert parked == [True]
    came = threading.Event()
    ours, other = socket.socketpair()
    pump.add(Stream(ours, pump, lambda head, _: came.set() if msgspec.msgpack.decode(head) else None, lambda _: None))
    other.sendall(frame(Kept(1)))
    assert came.wait(PATIENCE_S)
    pump.close()
