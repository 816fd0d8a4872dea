"""Frames over one ZeroMQ DEALER socket: encode, decode, send, receive. Knows no engine and no method."""

from __future__ import annotations

import time

import msgspec
import zmq

from .protocol import CurveCredentials, FromRank, ToRank

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(ToRank)

_ALERT_S = 150e-6
"""How long to stay awake for the next frame: a little over a round trip."""


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
        """Block for the next frame. The caller of the last one often sends another at once: being awake for it saves a wake-up, the
        larger part of a round trip, and costs nothing while nobody calls."""
        until = time.perf_counter() + _ALERT_S
        while time.perf_counter() < until:
            try:
                return _decoder.decode(self._socket.recv(zmq.NOBLOCK))
            except zmq.Again:
                continue
        return _decoder.decode(self._socket.recv())  # a poll before it would cost two more system calls

    def close(self) -> None:
        """Flush for at most a second, then close."""
        self._socket.close()
        self._context.term()
