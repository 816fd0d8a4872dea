"""Where the code that runs is: which node, which worker, which actor, which devices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import TwinkleError
from .protocol import ActorCard, Joined, Setup
from .running import current_call

if TYPE_CHECKING:
    from .handle import ActorHandle


@dataclass
class Context:
    """Of this process. ``get_runtime_context()`` is how programs see it."""

    joined: Joined
    setup: Setup | None = None
    actor_id: str | None = None
    actor_name: str = ""
    restarts: int = 0
    namespace: str = ""
    card: ActorCard | None = None

    def get_node_id(self) -> str:
        """Of the box, in the cluster."""
        return self.joined.node

    def get_worker_id(self) -> str:
        return str(self.joined.client)

    def get_job_id(self) -> str:
        """Of the program that this is, or works for."""
        return str(self.joined.client if self.setup is None or self.setup.job is None else self.setup.job)

    def get_task_id(self) -> str | None:
        """Of the task or call that runs; None outside of one. It is the id of the object that its result becomes."""
        return current_call() or None

    def get_namespace(self) -> str:
        """Where names of actors and groups are looked up."""
        return self.namespace

    def get_assigned_resources(self) -> dict[str, float]:
        """What this worker holds: ``{"CPU": 1.0}``. Nothing in a program itself."""
        return {} if self.setup is None else dict(self.setup.resources or {})

    def get_placement_group_id(self) -> str | None:
        """None: it is in none."""
        return None if self.setup is None or self.setup.within is None else self.setup.within.id

    @property
    def should_capture_child_tasks_in_placement_group(self) -> bool:
        """What it starts runs in its group, too."""
        return self.setup is not None and self.setup.within is not None and self.setup.within.capture

    @property
    def current_actor(self) -> ActorHandle:
        """A handle of the actor whose code this is. Raises TwinkleError ``USAGE`` outside of one."""
        if self.card is None:
            raise TwinkleError("USAGE", "`current_actor` is for the code of an actor")
        from .client import current

        return current().handle(self.card, held=False)

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
