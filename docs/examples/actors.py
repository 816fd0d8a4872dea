"""What docs/examples/actors.mjs calls."""

from collections.abc import Iterator


def square(x: float) -> float:
    return x * x


class Counter:
    def __init__(self, start: int = 0) -> None:
        self.value = start

    def increment(self, by: int = 1) -> int:
        self.value += by
        return self.value

    def down(self) -> Iterator[int]:
        """The last three."""
        yield from range(self.value, self.value - 3, -1)
