"""What every worker needs, imported once by the template that forks them."""

from __future__ import annotations


def preload() -> None:
    """Starts no thread and opens nothing."""
    import asyncio
    import concurrent.futures.thread

    from . import birth, execute, remote, runners, worker

    del asyncio, concurrent.futures.thread, birth, execute, remote, runners, worker
