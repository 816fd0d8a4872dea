"""Frames over one ZeroMQ DEALER socket: encode, decode, send, receive. Knows no engine and no method."""

from __future__ import annotations

import os
import time

import msgspec
import zmq

from .protocol import CurveCredentials, FromRank, ToRank

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(ToRank)

_ALERT_S = 150e-6
"""How long to stay awake for the next frame: a little over a round trip."""

_PROMPT_S = 400e-6
"""A frame that came within so much, the wake-up included, would have come to one who was awake."""


class Channel:
    """One connection to Node. Not thread-safe: a thread that sends needs a channel of its own."""

    def __init__(self, endpoint: str, identity: bytes, curve: CurveCredentials | None = None) -> None:
        """Connect to ``endpoint`` (ipc:// or tcp://) under ``identity``, the name Node routes by; ``curve`` over tcp."""
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.IDENTITY, identity)
        self._socket.setsockopt(zmq.LINGER, 1000)
        self._socket.setsockopt(zmq.SNDHWM, 0)
        self._socket.setsockopt(zmq.RCVHWM, 0)
        if curve is not None:
            self._socket.setsockopt(zmq.CURVE_SERVERKEY, curve.server_key.encode())
            self._socket.setsockopt(zmq.CURVE_PUBLICKEY, curve.public_key.encode())
            self._socket.setsockopt(zmq.CURVE_SECRETKEY, curve.secret_key.encode())
        self._socket.connect(endpoint)
        self._prompt = True
        """The last frame that was waited for came soon."""

    def fileno(self) -> int:
        """Readable when a frame may have come. Edge triggered: it says so once, until ``receive`` has returned None."""
        return int(self._socket.getsockopt(zmq.FD))

    def send(self, frame: FromRank) -> None:
        """Queue one frame; never blocks (no high-water mark: credits bound what is in flight)."""
        self._socket.send(_encoder.encode(frame))

    def receive(self, timeout_ms: float | None) -> ToRank | None:
        """The next frame, or None when none came in time.

        timeout_ms: None waits for ever, 0 only looks. Raises msgspec.DecodeError or ValidationError for a frame outside the contract.
        """
        try:
            return _decoder.decode(self._socket.recv(zmq.NOBLOCK))
        except zmq.Again:
            if timeout_ms == 0:
                return None
        if timeout_ms is None:
            return self._wait()
        if timeout_ms < 1:
            time.sleep(timeout_ms / 1000)  # poll counts whole milliseconds and would not wait at all
            return self.receive(0)
        if not self._socket.poll(int(timeout_ms)):
            return None
        return _decoder.decode(self._socket.recv(zmq.NOBLOCK))

    def _wait(self) -> ToRank:
        """Block for the next frame. A caller that sends one after another finds the rank awake: that saves a wake-up, the larger part
        of a round trip. For one that takes its time, being awake would only keep the processor from those it waits for."""
        since = time.perf_counter()
        until = since + _ALERT_S if self._prompt else since
        while time.perf_counter() < until:
            try:
                return _decoder.decode(self._socket.recv(zmq.NOBLOCK))
            except zmq.Again:
                os.sched_yield()  # the frame may wait for this very processor
        body = self._socket.recv()  # a poll before it would cost two more system calls
        self._prompt = time.perf_counter() - since < _PROMPT_S
        return _decoder.decode(body)

    def close(self) -> None:
        """Flush for at most a second, then close."""
        self._socket.close()
        self._context.term()
