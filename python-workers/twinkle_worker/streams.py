"""Open streams of a rank and their credits. Pure: returns frames, sends nothing.

An item without a credit is merged into the one that waits for its choice, so memory stays bounded by the tokens of a request and a
slow reader never slows the batch.
"""

from __future__ import annotations

from .protocol import End, Failure, HttpPart, Items, TokenDelta

Item = TokenDelta | HttpPart


def merge(first: Item, second: Item) -> Item:
    """Two items of one choice, or two parts of one answer, as one."""
    if isinstance(first, HttpPart):
        return HttpPart(status=first.status, headers=first.headers, body=first.body + second.body)  # type: ignore[union-attr]
    return _merge_deltas(first, second)  # type: ignore[arg-type]


def _merge_deltas(first: TokenDelta, second: TokenDelta) -> TokenDelta:
    """The later one's finish holds."""
    logprobs = None
    if first.logprobs is not None or second.logprobs is not None:
        logprobs = [*(first.logprobs or ()), *(second.logprobs or ())]
    return TokenDelta(
        choice=first.choice,
        text=first.text + second.text,
        token_ids=first.token_ids + second.token_ids,
        logprobs=logprobs,
        finish=second.finish,
        stop_reason=second.stop_reason,
        prompt=first.prompt if first.prompt is not None else second.prompt,
    )


class _Stream:
    __slots__ = ("credits", "waiting")

    def __init__(self, credits: int) -> None:
        self.credits = credits
        self.waiting: dict[int, Item] = {}


class StreamTable:
    """Streams by id."""

    def __init__(self) -> None:
        self._streams: dict[int, _Stream] = {}

    def __contains__(self, stream: int) -> bool:
        return stream in self._streams

    def open(self, stream: int, credits: int) -> None:
        """A new stream whose receiver has room for ``credits`` items."""
        self._streams[stream] = _Stream(credits)

    def forget(self, stream: int) -> bool:
        """Drop a stream; False when it is not open."""
        return self._streams.pop(stream, None) is not None

    def item(self, stream: int, item: Item, batch: list[tuple[int, Item]]) -> None:
        """Put an item into ``batch`` when there is a credit, else keep it merged."""
        state = self._streams.get(stream)
        if state is None:
            return
        if state.credits > 0 and not state.waiting:
            state.credits -= 1
            batch.append((stream, item))
            return
        choice = 0 if isinstance(item, HttpPart) else item.choice
        kept = state.waiting.get(choice)
        state.waiting[choice] = item if kept is None else merge(kept, item)

    def end(self, frame: End | Failure) -> tuple[Items | None, End | Failure | None]:
        """The stream is over: what to send now. Nothing for an unknown stream.

        What waits goes with an end although no credit is left: it is one item a choice, and a receiver that has stopped reading
        must not hold the place of a request that is done.
        """
        state = self._streams.pop(frame.id, None)
        if state is None:
            return None, None
        if isinstance(frame, Failure) or not state.waiting:
            return None, frame
        return Items(items=[(frame.id, item) for item in state.waiting.values()]), frame

    def grant(self, stream: int, credits: int) -> Items | None:
        """More credits: waiting items that may go now."""
        state = self._streams.get(stream)
        if state is None:
            return None
        state.credits += credits
        items: list[tuple[int, Item]] = []
        while state.waiting and state.credits > 0:
            choice = next(iter(state.waiting))
            items.append((stream, state.waiting.pop(choice)))
            state.credits -= 1
        return Items(items=items) if items else None
