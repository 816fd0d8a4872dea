"""Where the code that runs is: which node, which worker, which actor, which devices."""

from __future__ import annotations

from dataclasses import dataclass

from .protocol import Joined, Setup


@dataclass
class Context:
    """Of this process. ``get_runtime_context()`` is how programs see it."""

    joined: Joined
    setup: Setup | None = None
    actor_id: str | None = None
    actor_name: str = ""
    restarts: int = 0
    namespace: str = ""

    def get_node_id(self) -> str:
        """Of the box, in the cluster."""
        return self.joined.node

    def get_worker_id(self) -> str:
        return str(self.joined.client)

    def get_actor_id(self) -> str | None:
        """None outside of actors."""
        return self.actor_id

    def get_actor_name(self) -> str | None:
        return self.actor_name or None

    @property
    def was_current_actor_reconstructed(self) -> bool:
        """The actor has been started again."""
        return self.restarts > 0

    def get_accelerator_ids(self) -> dict[str, list[str]]:
        """Resource → ids of the devices that this worker holds, as Ray counts them: 0 is the first that the node offers."""
        if self.setup is None:
            return {}
        return {resource: list(ids) for resource, ids in self.setup.devices.items()}


_context: Context | None = None


def set_context(context: Context | None) -> None:
    global _context
    _context = context


def get_context() -> Context | None:
    return _context
