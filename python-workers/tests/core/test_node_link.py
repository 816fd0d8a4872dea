"""Questions to the node service: answered, refused, and cut off."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from core_support import PATIENCE_S, Gone, Rig, Service, Silence, hello, rig, together

from twinkle_node.core.link import Asked, Link
from twinkle_node.core.protocol import Answer
from twinkle_node.core.pump import Pump
from twinkle_node.core.wire import frame
from twinkle_node.errors import TwinkleError


def silence(*_: Any) -> None:
    raise Silence


def gone(*_: Any) -> None:
    raise Gone


def soon() -> float:
    return time.monotonic() + PATIENCE_S


def test_answers_come_in_any_order_with_their_bytes() -> None:
    with rig({"q": silence}) as made:
        first, second = made.link.ask("q", 1), made.link.ask("q", 2)
        made.service.asks.until(lambda asks: len(asks) == 2)
        made.service.answer(second.number, "second", b"bytes")
        made.service.answer(first.number, "first")
        made.until(lambda: first.done and second.done)
        assert first.result()[0] == "first"
        assert (second.result()[0], bytes(second.result()[1])) == ("second", b"bytes")


def test_a_refusal_is_raised_with_its_code() -> None:
    with rig({"q": gone}) as made, pytest.raises(TwinkleError) as raised:
        made.link.call("q", {}, deadline=soon())
    assert raised.value.code == "OBJECT_LOST"


def test_a_deadline_ends_the_wait_and_a_late_answer_harms_nobody() -> None:
    with rig({"q": silence, "r": lambda *_: "fine"}) as made:
        with pytest.raises(TimeoutError, match="`q`"):
            made.link.call("q", {}, deadline=time.monotonic() + 0.01)
        (number, *_) = made.service.asks.until(lambda asks: asks and asks[0])
        made.service.answer(number, "late")
        assert made.link.call("r", {}, deadline=soon())[0] == "fine"


def test_a_service_that_dies_in_the_middle_of_questions_ends_them_all_with_the_reason() -> None:
    with rig({"q": silence}) as made:
        asked = [made.link.ask("q", number) for number in range(20)]
        codes: list[str] = []

        def wait() -> None:
            with pytest.raises(TwinkleError) as raised:
                made.link.call("q", {}, deadline=soon())
            codes.append(raised.value.code)

        def die() -> None:
            made.service.asks.until(lambda asks: len(asks) == 24)
            made.service.raw(frame(Answer(0, "cut in the middle"))[:9])
            made.service.die()

        together(wait, wait, wait, wait, die)
        assert codes == ["HEAD_UNREACHABLE"] * 4
        made.until(lambda: all(one.done for one in asked))
        assert {one.error.code for one in asked if one.error} == {"HEAD_UNREACHABLE"}
        assert made.ended == ["it was closed"]
        # What comes later fails at once.
        later: list[Asked] = []
        made.link.ask("q", {}, then=later.append)
        assert later[0].error is made.link.over is not None
        made.link.tell("nothing", {})


def test_closing_wakes_whoever_waits_in_another_thread() -> None:
    with rig({"q": silence}) as made:

        def wait() -> None:
            with pytest.raises(TwinkleError, match="closed by this process"):
                made.link.call("q", {})

        def close() -> None:
            made.service.asks.until(lambda asks: len(asks) == 3)
            made.link.close()

        together(wait, wait, wait, close)


def test_a_question_asked_while_the_connection_ends_is_settled() -> None:
    for _ in range(100):
        with rig({"q": silence}) as made:
            go = threading.Barrier(2)
            asked: list[Asked] = []

            def ask(made: Rig = made, go: threading.Barrier = go, asked: list[Asked] = asked) -> None:
                go.wait()
                asked.extend(made.link.ask("q", number) for number in range(30))

            def close(made: Rig = made, go: threading.Barrier = go) -> None:
                go.wait()
                made.link.close()

            together(ask, close)
            assert all(one.done and one.error for one in asked)


def test_garbage_from_the_service_ends_the_connection_and_says_so() -> None:
    with rig({"q": lambda *_: made.service.raw(b"\x05\0\0\0\x01\0\0\0\xc1")}) as made:
        with pytest.raises(TwinkleError, match="understood") as raised:
            made.link.call("q", {}, deadline=soon())
        assert raised.value.code == "HEAD_UNREACHABLE"


def test_who_is_told_something_that_cannot_be_handled_does_not_take_the_thread_with_it() -> None:
    with rig() as made:
        made.link.ask("object.x", {}, then=lambda _: 1 // 0)
        made.until(lambda: made.link.over)
        assert "ZeroDivisionError" in str(made.link.over)


def test_joining_ends_with_a_refusal_a_death_or_too_late() -> None:
    def try_to_join(script: dict[str, Any], seconds: float) -> TwinkleError:
        service = Service(script)
        scripted.append(service)
        pump = Pump()
        link = Link(service.theirs, pump, lambda *_: None, lambda _: None)
        with pytest.raises(TwinkleError) as raised:
            link.join(hello(), seconds)
        link.close()
        pump.close()
        return raised.value

    scripted: list[Service] = []
    assert try_to_join({"join": lambda *_: scripted[-1].refuse(-1, "PROTOCOL")}, PATIENCE_S).code == "PROTOCOL"
    assert "closed" in str(try_to_join({"join": lambda *_: scripted[-1].die()}, PATIENCE_S))
    assert "within 0.02 s" in str(try_to_join({"join": lambda *_: None}, 0.02))
