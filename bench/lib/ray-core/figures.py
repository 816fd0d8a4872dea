"""Actors, tasks and objects of one runtime, measured: ``python figures.py ray|twinkle_node``; both are asked by the same lines.

Prints ``{"startedS": …}`` when the runtime is up, waits for a line, and prints the figures as one JSON object.
"""

import importlib
import json
import os
import statistics
import sys
import time

import numpy as np

NAME = sys.argv[1]
MEGABYTE = 1_000_000
ROUNDS = 5


def main():
    begun = time.perf_counter()
    core = importlib.import_module(NAME)
    if NAME == "ray":
        core.init(include_dashboard=False, logging_level="error", log_to_driver=False, num_cpus=4)
    else:
        core.init("local", num_cpus=4)
    print(json.dumps({"startedS": time.perf_counter() - begun}), flush=True)
    sys.stdin.readline()

    @core.remote
    def one():
        return 1

    @core.remote
    class Echo:
        def one(self):
            return 1

        def size(self, array):
            return array.nbytes

    echo = Echo.remote()
    core.get(echo.one.remote())
    core.get([one.remote() for _ in range(20)])
    figures = {
        "actorSync": rate(1500, lambda: core.get(echo.one.remote())),
        "actorPipelined": best(
            lambda: timed(10_000, lambda count: core.get([echo.one.remote() for _ in range(count)]))
        ),
        "taskSync": rate(300, lambda: core.get(one.remote())),
        "taskPipelined": best(lambda: timed(2000, lambda count: core.get([one.remote() for _ in range(count)]))),
        "createMs": statistics.median(created(core, Echo) for _ in range(20)) * 1000,
    }
    array = np.random.default_rng(1).random(8 * MEGABYTE)
    figures["memcpyGBs"] = copy_speed(array)
    figures["putGBs"] = best(lambda: array.nbytes / 1e9 / put_seconds(core, array))
    kept = core.put(array)
    core.get(kept)
    figures["getMs"] = statistics.median(seconds(lambda: core.get(kept)) for _ in range(50)) * 1000
    for megabytes, count in ((1, 100), (64, 10)):
        figures[f"argument{megabytes}GBs"] = sent_speed(core, echo, array[: megabytes * MEGABYTE // 8], count)
    print(json.dumps(figures), flush=True)
    core.shutdown()


def seconds(act):
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun


def timed(count, act):
    """Calls per second."""
    return count / seconds(lambda: act(count))


def rate(count, act):
    """Calls per second, one after another; the median of rounds."""
    return statistics.median(count / seconds(lambda: [act() for _ in range(count)]) for _ in range(ROUNDS))


def best(measure):
    return max(measure() for _ in range(ROUNDS))


def created(core, cls):
    """Seconds from nothing to the answer of the first call. A moment later, so that a pool can fill again."""
    begun = time.perf_counter()
    actor = cls.remote()
    core.get(actor.one.remote())
    took = time.perf_counter() - begun
    core.kill(actor)
    time.sleep(0.2)
    return took


def put_seconds(core, array):
    begun = time.perf_counter()
    ref = core.put(array)
    took = time.perf_counter() - begun
    del ref
    time.sleep(0.05)  # until its room can be used again
    return took


def sent_speed(core, echo, piece, count):
    """GB/s of arguments by value, one call after another."""

    def calls():
        for _ in range(count):
            core.get(echo.size.remote(piece))

    calls()
    return piece.nbytes * count / 1e9 / min(seconds(calls) for _ in range(3))


def copy_speed(array):
    """GB/s of a copy into memory that is there already: what a put cannot be faster than."""
    target = np.empty_like(array)
    target[:] = 0
    return best(lambda: array.nbytes / 1e9 / seconds(lambda: np.copyto(target, array)))


if __name__ == "__main__":
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")
    main()
