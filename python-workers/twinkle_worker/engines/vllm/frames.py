"""What the frames between an engine process and its ranks mean: their kinds, and the commands that are ours and not vLLM's."""

from __future__ import annotations

CALL = 1
"""Engine to rank. Body: (method or pickled function, positional arguments, keyword arguments, ranks that answer)."""

ANSWER = 2
"""Rank to engine. Body: what the method returned."""

FAILED = 3
"""Rank to engine, also from a rank that was not to answer. Body: (exception's type name, its text, traceback)."""

STARTED = 4
"""Engine to rank: the start is over, serving begins. No body."""

GOODBYE = 5
"""Engine to rank: no call will follow, and the end of the link is no failure. No body."""

INIT_WORKER = "@init_worker"
"""Join the process group and make vLLM's worker. Argument: VllmConfig, as cloudpickle bytes."""

FINISH_LOAD = "@finish_load"
"""What vLLM's own workers do once the weights are there."""

FORGET_NAMES = "@forget_names"
"""Every rank has attached what is shared: its names can go."""

PROFILE_RUN = "@profile_run"
"""A forward pass of padding."""

FIND_WEIGHTS = "@find_weights"
"""Look for new weights; changes nothing. Argument: WeightSource."""

WRITE_WEIGHTS = "@write_weights"
"""Replace the weights by those that were found. Argument: WeightSource."""

STEP_METHODS = frozenset(("execute_model", "sample_tokens"))

TIMED_METHODS = STEP_METHODS | {"execute_dummy_batch", "take_draft_token_ids"}
"""Parts of an engine step: one that does not end is a hang."""
