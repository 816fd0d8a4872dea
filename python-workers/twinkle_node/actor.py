"""Names of actors where programs for Ray look for them."""

from __future__ import annotations

from .core.exiting import exit_actor
from .core.handle import ActorHandle, ActorMethod
from .core.remote import ActorClass

__all__ = ["ActorClass", "ActorHandle", "ActorMethod", "exit_actor"]
