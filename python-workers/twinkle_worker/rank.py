"""A rank: connect, say hello, then turn the main loop until shutdown. One thread does all work; a beat thread says that it lives."""

from __future__ import annotations

import logging
import os
import platform
import sys
import traceback
from typing import Any

import msgspec

from .beat import Pulse, start_beating
from .channel import Channel
from .engines import create_engine
from .engines.base import Engine, LoadError, LoopGuest, RequestError, SegmentUser, TrainingCalls
from .lifeline import watch_death_pipe
from .protocol import (
    METHOD_PARAMS,
    PROTOCOL_VERSION,
    Abort,
    Call,
    Credit,
    End,
    Failure,
    GenerateEnd,
    GenerateParams,
    Hello,
    HttpParams,
    HttpPart,
    Items,
    LaunchSpec,
    Open,
    Phase,
    Refuse,
    Result,
    TokenDelta,
    Welcome,
)
from .streams import StreamTable
from .tensors import Segments

log = logging.getLogger("twinkle_worker")

HELLO_TIMEOUT_MS = 30_000
EXIT_REFUSED = 3


def run_rank(launch: LaunchSpec) -> int:
    """Run the rank that ``launch`` describes; returns the exit code of the process."""
    watch_death_pipe(launch.death_fd)
    os.environ.update(launch.env)
    logging.basicConfig(
        stream=sys.stderr,
        level=os.environ.get("TWINKLE_LOG_LEVEL", "info").upper().replace("TRACE", "DEBUG"),
        format=f"%(asctime)s %(levelname)s rank={launch.rank} epoch={launch.epoch} %(name)s: %(message)s",
    )
    channel = Channel(launch.endpoint, launch.identity.encode(), launch.curve)
    channel.send(
        Hello(
            protocol=PROTOCOL_VERSION,
            rank=launch.rank,
            epoch=launch.epoch,
            pid=os.getpid(),
            engine=launch.engine,
            python=platform.python_version(),
        )
    )
    answer = channel.receive(HELLO_TIMEOUT_MS)
    if not isinstance(answer, Welcome):
        reason = answer.reason if isinstance(answer, Refuse) else f"no welcome within {HELLO_TIMEOUT_MS} ms"
        log.error("refused: %s", reason)
        return EXIT_REFUSED
    return Rank(launch, channel, answer.beat_ms).run()


class Rank:
    """The main loop: frames in, engine steps, frames out."""

    def __init__(self, launch: LaunchSpec, channel: Channel, beat_ms: int) -> None:
        self._channel = channel
        self._engine: Engine = create_engine(launch.engine, launch)
        self._loaded = False
        self._streams = StreamTable()
        self._segments = Segments(launch.pass_fd)
        self._pulse = Pulse()
        self._running = True
        if isinstance(self._engine, LoopGuest):
            self._engine.attach(channel.fileno(), self._pulse)
        if isinstance(self._engine, SegmentUser):
            self._engine.use_segments(self._segments)
        start_beating(
            lambda: Channel(launch.endpoint, f"{launch.identity}:beat".encode(), launch.curve),
            beat_ms,
            self._pulse,
            lambda: self._engine.stats() if self._loaded else None,
        )

    def run(self) -> int:
        """Turn until shutdown. An exception of a step is the engine's end: it is raised, logged and ends the process with 1."""
        engine, channel, pulse = self._engine, self._channel, self._pulse
        try:
            while self._running:
                timeout = engine.wait_ms() if self._loaded and engine.has_work() else None
                pulse.turn("idle" if timeout is None else "step")
                frame = channel.receive(timeout)
                while frame is not None:
                    self._handle(frame)
                    frame = channel.receive(0)
                if self._running and self._loaded and engine.has_work() and engine.wait_ms() <= 0:
                    self._step()
            return 0
        finally:
            engine.close()
            self._segments.close()
            channel.close()

    def _step(self) -> None:
        batch: list[tuple[int, TokenDelta | HttpPart]] = []
        ends: list[End | Failure] = []
        for stream, item in self._engine.step():
            if isinstance(item, (TokenDelta, HttpPart)):
                self._streams.item(stream, item, batch)
            elif item is None or isinstance(item, GenerateEnd):
                ends.append(End(id=stream, value=item))
            else:
                ends.append(_failure(stream, item))
        if batch:
            self._channel.send(Items(items=batch))
        for frame in ends:
            for last in self._streams.end(frame):
                if last is not None:
                    self._channel.send(last)

    def _handle(self, frame: Any) -> None:
        match frame:
            case Open():
                self._open(frame)
            case Credit():
                for stream, credits in frame.grants:
                    items = self._streams.grant(stream, credits)
                    if items is not None:
                        self._channel.send(items)
            case Abort():
                for stream in frame.ids:
                    if self._streams.forget(stream):
                        self._engine.abort(stream)
            case Call():
                self._call(frame)
            case _:
                log.warning("unexpected frame %s", type(frame).__name__)

    def _open(self, frame: Open) -> None:
        try:
            if frame.method not in ("generate", "http") or not self._loaded:
                raise RequestError("PROTOCOL", f"stream {frame.method!r} cannot be opened now")
            # Not strict: JavaScript sends integers beyond 32 bits as doubles.
            self._streams.open(frame.id, frame.credits)
            if frame.method == "http":
                self._engine.add_http(frame.id, msgspec.convert(frame.params, HttpParams, strict=False))
            else:
                self._engine.add(frame.id, msgspec.convert(frame.params, GenerateParams, strict=False))
        except Exception as error:  # one bad request must not end the rank
            self._streams.forget(frame.id)
            self._channel.send(_failure(frame.id, error))

    def _call(self, frame: Call) -> None:
        self._pulse.turn(frame.method)
        try:
            value = self._answer(frame.method, frame.params)
        except Exception as error:  # answered to the caller; the loop goes on
            self._channel.send(_failure(frame.id, error))
        else:
            self._channel.send(Result(id=frame.id, value=value))

    def _answer(self, method: str, raw: Any) -> Any:
        if method not in METHOD_PARAMS:
            raise RequestError("PROTOCOL", f"unknown method {method!r}")
        expected = METHOD_PARAMS[method]
        params = raw if expected is Any else msgspec.convert(raw, expected, strict=False)
        match method:
            case "load":
                card = self._engine.load(params, self._progress)
                self._loaded = True
                return card
            case "tokenize":
                return self._engine.tokenize(params)
            case "detokenize":
                return self._engine.detokenize(params)
            case "echo":
                return params
            case "attach_segment":
                return self._segments.attach(params.segment, params.size)
            case "detach_segment":
                return self._segments.detach(params.segment)
            case "tensor_summary":
                return self._segments.summary(params.tensor)
            case (
                "train_create"
                | "train_drop"
                | "train_pass"
                | "train_step"
                | "train_norm"
                | "train_zero"
                | "train_encode"
                | "train_save"
                | "train_load"
                | "train_release"
            ):
                if not isinstance(self._engine, TrainingCalls) or not self._loaded:
                    raise RequestError("PROTOCOL", f"this rank does not train, so {method!r} cannot be answered")
                return self._engine.train(method, params)
            case "shutdown":
                self._running = False
                return None
            case _:
                raise RequestError("PROTOCOL", f"method {method!r} is no call")

    def _progress(self, phase: str, progress: float, detail: str) -> None:
        self._pulse.turn(phase)
        self._channel.send(Phase(phase=phase, progress=progress, detail=detail))


def _failure(stream: int, error: Exception) -> Failure:
    if isinstance(error, RequestError):
        return Failure(id=stream, code=error.code, message=str(error), param=error.param, traceback=None)
    if isinstance(error, LoadError):
        return Failure(id=stream, code="LOAD_FAILED", message=str(error), param=None, traceback=None)
    if isinstance(error, msgspec.ValidationError):
        return Failure(id=stream, code="PROTOCOL", message=str(error), param=None, traceback=None)
    text = "".join(traceback.format_exception(error))
    log.error("request failed: %s", text)
    return Failure(
        id=stream, code="ENGINE_ERROR", message=f"{type(error).__name__}: {error}", param=None, traceback=text
    )
