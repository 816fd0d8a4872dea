"""Python's door to twinkle-node: actors, tasks and objects here, servers in ``twinkle_node.serve``. Nothing here imports torch.

import twinkle_node as tn

tn.init()

@tn.remote
def square(x):
    return x * x

print(tn.get([square.remote(x) for x in range(4)]))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import (
    ActorDiedError,
    CancelledError,
    ConfigError,
    GetTimeoutError,
    RuntimeEnvSetupError,
    SerializationError,
    TaskError,
    TwinkleError,
    WorkerDiedError,
)

if TYPE_CHECKING:
    from .core.api import (
        available_resources,
        cancel,
        cluster_resources,
        get,
        get_actor,
        get_gpu_ids,
        get_runtime_context,
        init,
        is_initialized,
        kill,
        list_named_actors,
        nodes,
        put,
        shutdown,
        wait,
    )
    from .core.exiting import exit_actor
    from .core.generators import ObjectRefGenerator
    from .core.groups import (
        PlacementGroup,
        get_current_placement_group,
        get_placement_group,
        placement_group,
        placement_group_table,
        remove_placement_group,
    )
    from .core.handle import ActorHandle
    from .core.refs import ObjectRef
    from .core.remote import method, remote
    from .core.scheduling import NodeAffinitySchedulingStrategy, PlacementGroupSchedulingStrategy

_WHERE = {
    "api": (
        "available_resources cancel cluster_resources get get_actor get_gpu_ids get_runtime_context init is_initialized kill "
        "list_named_actors nodes put shutdown wait"
    ),
    "generators": "ObjectRefGenerator",
    "exiting": "exit_actor",
    "groups": "PlacementGroup get_current_placement_group get_placement_group placement_group placement_group_table remove_placement_group",
    "handle": "ActorHandle",
    "refs": "ObjectRef",
    "remote": "method remote",
    "scheduling": "NodeAffinitySchedulingStrategy PlacementGroupSchedulingStrategy",
}
_MODULE_OF = {name: module for module, names in _WHERE.items() for name in names.split()}

__all__ = [
    "ActorDiedError",
    "ActorHandle",
    "CancelledError",
    "ConfigError",
    "GetTimeoutError",
    "NodeAffinitySchedulingStrategy",
    "ObjectRef",
    "ObjectRefGenerator",
    "PlacementGroup",
    "PlacementGroupSchedulingStrategy",
    "RuntimeEnvSetupError",
    "SerializationError",
    "TaskError",
    "TwinkleError",
    "WorkerDiedError",
    "available_resources",
    "cancel",
    "cluster_resources",
    "exit_actor",
    "get",
    "get_actor",
    "get_current_placement_group",
    "get_gpu_ids",
    "get_placement_group",
    "get_runtime_context",
    "init",
    "is_initialized",
    "kill",
    "list_named_actors",
    "method",
    "nodes",
    "placement_group",
    "placement_group_table",
    "put",
    "remote",
    "remove_placement_group",
    "shutdown",
    "wait",
]


def __getattr__(name: str) -> Any:
    """Loaded when it is asked for: who only starts servers needs no cloudpickle."""
    module = _MODULE_OF.get(name)
    if module is None and name in ("actor", "util"):
        from importlib import import_module

        return import_module(f".{name}", __name__)
    if module is None:
        raise AttributeError(f"module `{__name__}` has no attribute `{name}`")
    from importlib import import_module

    value = getattr(import_module(f".core.{module}", __name__), name)
    globals()[name] = value
    return value
