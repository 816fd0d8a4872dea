"""Exceptions travel with their class, state and traceback, or at least with their text."""

from __future__ import annotations

import asyncio
import dataclasses
import pickle
import subprocess
import threading
import traceback
from typing import Any

import cloudpickle
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinkle_node.core.failure import MAX_PICKLED, PackedError, pack_error, unpack_error
from twinkle_node.errors import SerializationError, TaskError, TwinkleError


class Custom(Exception):
    """Cannot be made from its args, as many cannot."""

    def __init__(self, path: str, line: int) -> None:
        super().__init__(f"{path}:{line}")
        self.path = path
        self.line = line

    def __str__(self) -> str:
        return f"at {self.path}, line {self.line}"


@dataclasses.dataclass(frozen=True)
class Frozen(Exception):
    value: int


class Slotted(Exception):
    __slots__ = ("extra",)


class NoFile(OSError):
    def __init__(self, path: str) -> None:
        super().__init__(2, "none there", path)


class Final(Exception):
    def __init_subclass__(cls, **options: Any) -> None:
        raise TypeError("no subclasses")


class Shy(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class Empty(Exception):
    def __len__(self) -> int:
        return 0


class Explosive(Exception):
    def __reduce__(self) -> Any:
        return _explode, ()


def _explode() -> None:
    raise SystemExit(3)


def raised(exc: BaseException) -> BaseException:
    try:
        raise exc
    except BaseException as caught:
        return caught


def over(exc: BaseException) -> TaskError:
    """Through pack, the wire and unpack."""
    report = pack_error(raised(exc), where="task f (pid 7)")
    return unpack_error(msgspec.msgpack.decode(msgspec.msgpack.encode(report), type=PackedError))


@given(st.sampled_from([ValueError, KeyError, RuntimeError, ZeroDivisionError]), st.text(), st.integers())
@settings(deadline=None)
def test_what_is_caught_is_of_both_classes(kind: type[Exception], text: str, number: int) -> None:
    error = over(kind(text, number))
    assert isinstance(error, kind)
    assert isinstance(error, TaskError)
    assert isinstance(error, TwinkleError)
    assert type(error.__cause__) is kind
    assert error.args == error.__cause__.args == (text, number)


def test_the_text_shows_where_it_was_and_the_traceback_over_there() -> None:
    error = over(ValueError("bad"))
    assert str(error).startswith("task f (pid 7) raised ValueError: bad\n")
    assert "raise exc" in str(error)
    assert "raise exc" in error.remote_traceback
    assert (error.remote_type, error.remote_message, error.remote_where) == ("ValueError", "bad", "task f (pid 7)")
    assert "raise exc" in "".join(traceback.format_exception(error))
    assert type(error).__name__ == "TaskError[ValueError]"
    assert error.code == "TASK_FAILED"


def test_a_class_with_a_constructor_of_its_own_comes_back_with_its_attributes() -> None:
    error = over(Custom("a.py", 3))
    assert isinstance(error, Custom)
    assert (error.path, error.line) == ("a.py", 3)
    assert str(error.__cause__) == "at a.py, line 3"
    assert error.remote_message == "at a.py, line 3"
    assert "The traceback over there" in str(error)


def test_state_that_c_or_slots_keep_comes_back() -> None:
    error = over(FileNotFoundError(2, "No such file", "/x"))
    assert isinstance(error, FileNotFoundError)
    assert (error.errno, error.strerror, error.filename) == (2, "No such file", "/x")
    broken = over(UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"))
    assert isinstance(broken, UnicodeDecodeError)
    assert broken.object == b"\xff"
    slotted = Slotted("s")
    slotted.extra = 5
    back = over(slotted)
    assert isinstance(back, Slotted)
    missing = over(NoFile("/y"))
    assert isinstance(missing, NoFile)
    assert (missing.errno, missing.filename) == (2, "/y")
    assert isinstance(over(subprocess.CalledProcessError(1, "ls")), subprocess.CalledProcessError)
    group = over(ExceptionGroup("g", [ValueError(1)]))
    assert isinstance(group, ExceptionGroup)
    assert isinstance(group.exceptions[0], ValueError)


def test_a_frozen_dataclass_comes_back() -> None:
    error = over(Frozen(4))
    assert isinstance(error, Frozen)
    assert error.value == 4


def test_attributes_of_the_original_win_over_those_of_a_twinkle_error() -> None:
    class HttpError(Exception):
        code = 404

        def __init__(self) -> None:
            self.code = 418

    error = over(HttpError())
    assert isinstance(error, TaskError)
    assert error.code == 418  # type: ignore[comparison-overlap]
    own = over(SerializationError("no", path="arg[0]", type_name="x"))
    assert isinstance(own, SerializationError)
    assert (own.code, own.path) == ("SERIALIZATION", "arg[0]")


def test_a_class_that_allows_no_subclass_is_a_plain_task_error_with_the_original_as_its_cause() -> None:
    error = over(Final("x"))
    assert type(error) is TaskError
    assert type(error.__cause__) is Final
    assert "Final: x" in str(error)


@pytest.mark.parametrize(
    "exc",
    [
        SystemExit(3),
        KeyboardInterrupt(),
        asyncio.CancelledError(),
        StopIteration(1),
        StopAsyncIteration(),
        GeneratorExit(),
    ],
)
def test_what_would_steer_this_process_is_a_plain_task_error(exc: BaseException) -> None:
    error = over(exc)
    assert type(error) is TaskError
    assert type(error.__cause__) is type(exc)


def test_attributes_that_cannot_travel_are_left_behind() -> None:
    exc = ValueError("text", threading.Lock())
    exc.lock = threading.Lock()  # type: ignore[attr-defined]
    exc.kept = 1  # type: ignore[attr-defined]
    error = over(exc)
    assert isinstance(error, ValueError)
    assert error.args[0] == "text"
    assert "lock" in error.args[1]
    assert vars(error)["kept"] == 1
    assert not hasattr(error, "lock")


@pytest.mark.parametrize("exc", [Shy("s"), Empty("n"), Explosive("e")])
def test_an_exception_with_bad_manners_is_packed_all_the_same(exc: Exception) -> None:
    error = over(exc)
    assert isinstance(error, type(exc))
    assert type(exc).__name__ in str(error)


def test_an_exception_that_is_too_large_travels_as_text() -> None:
    error = over(ValueError("x" * (MAX_PICKLED + 1)))
    assert type(error) is TaskError
    assert error.__cause__ is None
    assert len(str(error)) < 200_000
    assert "characters left out" in str(error)


def test_text_that_is_no_unicode_survives_the_wire() -> None:
    assert "\\ud800" in over(ValueError("\ud800")).remote_message


def test_a_failure_of_a_task_that_a_task_called_keeps_its_class_and_both_tracebacks() -> None:
    inner = over(KeyError("k"))
    report = pack_error(raised(inner), where="task g (pid 8)")
    outer = unpack_error(report)
    assert isinstance(outer, KeyError)
    assert isinstance(outer.__cause__, TaskError)
    assert isinstance(outer.__cause__.__cause__, KeyError)
    assert (outer.remote_where, outer.__cause__.remote_where) == ("task g (pid 8)", "task f (pid 7)")
    assert (outer.remote_type, outer.remote_message) == ("KeyError", "'k'")
    assert "task f (pid 7)" in str(outer)
    again = unpack_error(pack_error(outer, where="h"))
    assert type(again) is type(outer)


@pytest.mark.parametrize("dumps", [pickle.dumps, cloudpickle.dumps])
def test_a_task_error_can_be_pickled(dumps: Any) -> None:
    error = over(Custom("a.py", 3))
    back = pickle.loads(dumps(error))
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert back.path == "a.py"


def test_a_pickle_that_cannot_be_read_here_leaves_the_text() -> None:
    report = PackedError("m.Gone", "text", "trace", "there", b"cno_such_module\nGone\n.")
    error = unpack_error(report)
    assert type(error) is TaskError
    assert str(error) == "there raised m.Gone: text\n\nThe traceback over there:\ntrace"
