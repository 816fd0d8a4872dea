"""What programs call: join and leave, values, actors by name, the cluster."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, overload

import msgspec

from ..errors import ConfigError, TwinkleError
from .client import Client, current, has_current, set_current
from .context import Context, get_context, set_context
from .generators import ObjectRefGenerator
from .handle import ActorHandle
from .local_head import LocalHead, connect_to, find_head
from .printed import show
from .protocol import WORK_PROTOCOL, ActorCard, Join
from .refs import ObjectRef
from .runtime_env import checked, inherited_by

_head: LocalHead | None = None
_head_of = 0
"""Process that started it: a fork has no part in it."""


class ClusterInfo(NamedTuple):
    """Where this process has joined."""

    node_id: str
    namespace: str
    home: str
    """Folder of the head's state: ``TWINKLE_HOME`` for its command line."""


_joined_at: ClusterInfo | None = None


def init(
    address: str | None = None,
    *,
    namespace: str = "default",
    home: str | None = None,
    num_cpus: int | None = None,
    num_gpus: int | None = None,
    ignore_reinit_error: bool = False,
    log_to_driver: bool = True,
    env: Mapping[str, str] | None = None,
    object_store_memory: float | None = None,
    object_spilling_directory: str | None = None,
    runtime_env: Mapping[str, Any] | None = None,
) -> ClusterInfo:
    """Join a cluster: ``"auto"`` the head that runs on this box, ``"local"`` one of this program's own, None the one or else the other.

    ``home``: folder of the head's state (default ``TWINKLE_HOME``, else ``~/.twinkle-node``). ``num_cpus``, ``num_gpus``, ``env``,
    ``object_store_memory`` (bytes of shared memory for objects; default 30 % of the machine's), ``object_spilling_directory`` (where
    they go when it has no room): of an own head, which ends with this process. ``runtime_env``: of all tasks and actors,
    unless they say otherwise. Raises TwinkleError ``HEAD_UNREACHABLE`` when no head runs and none is started,
    ``USAGE`` when this process has joined before.
    """
    global _head, _head_of, _joined_at
    if has_current():
        if ignore_reinit_error:
            return _joined_at or ClusterInfo(current().joined.node, current().namespace, "")
        raise TwinkleError(
            "USAGE", "this process has joined already: call shutdown() first, or pass ignore_reinit_error=True"
        )
    if address not in (None, "auto", "local"):
        raise ConfigError("CONFIG_INVALID", f'expected "auto", "local" or None for `address` but received {address!r}')
    surroundings = checked(runtime_env or {})
    own = {
        "num_cpus": num_cpus,
        "num_gpus": num_gpus,
        "env": env,
        "object_store_memory": object_store_memory,
        "object_spilling_directory": object_spilling_directory,
    }
    given = [name for name, value in own.items() if value is not None]
    found = None if address == "local" else find_head(home)
    if found is None:
        if address == "auto":
            raise TwinkleError(
                "HEAD_UNREACHABLE",
                "no head runs on this box: start one with `npx twinkle-node start --head`, or call init()",
            )
        _head = LocalHead(num_cpus, num_gpus, env or {}, object_store_memory, object_spilling_directory)
        _head_of = os.getpid()
        found = _head.found
    elif given:
        raise ConfigError(
            "CONFIG_INVALID",
            f'`{given[0]}` is of an own head, and one runs on this box: pass address="local" to start another',
        )
    try:
        sock = connect_to(found)
        hello = Join(WORK_PROTOCOL, "driver", os.getpid(), "", sys.executable, _import_path(), os.getcwd(), namespace)
        client = Client(sock, hello, _printed if log_to_driver else None)
        try:
            if surroundings:
                client.inherited = inherited_by(client, surroundings)
        except BaseException:
            client.close()
            raise
    except BaseException:
        _close_head()
        raise
    set_current(client)
    set_context(Context(client.joined, namespace=namespace))
    atexit.register(shutdown)
    _joined_at = ClusterInfo(client.joined.node, namespace, str(found.home))
    return _joined_at


def _printed(method: str, params: Any, _body: memoryview) -> None:
    """What only a driver is told: what its workers print."""
    if method == "printed":
        show(params["name"], params["pid"], params["lines"], params["error"])


def _import_path() -> list[str]:
    """Where this program finds modules: its workers do, too. The folder of a script is first, as Python has it."""
    return [str(Path(entry or ".").resolve()) for entry in sys.path]


def shutdown() -> None:
    """Leave: actors that are not detached end, and an own head. Idempotent."""
    global _joined_at
    if has_current():
        client = current()
        _joined_at = None
        set_current(None)
        set_context(None)
        client.close()
    _close_head()
    atexit.unregister(shutdown)


def _close_head() -> None:
    global _head
    head, _head = _head, None
    if head is not None and _head_of == os.getpid():
        head.close()


def is_initialized() -> bool:
    """Whether this process has joined."""
    return has_current()


def put(value: Any) -> ObjectRef:
    """Keep a value for others; large ones are written once, and read by every process of the box without a copy."""
    return current().put(value)


@overload
def get(refs: ObjectRef, *, timeout: float | None = None) -> Any: ...


@overload
def get(refs: Sequence[ObjectRef], *, timeout: float | None = None) -> list[Any]: ...


def get(refs: ObjectRef | Sequence[ObjectRef], *, timeout: float | None = None) -> Any:
    """The value of a reference, or of each of a list. Arrays are read-only views of shared memory.

    Raises what the call raised, GetTimeoutError after ``timeout`` seconds, TwinkleError ``OBJECT_LOST``.
    """
    if isinstance(refs, ObjectRef):
        return current().get([refs], timeout)[0]
    return current().get(_refs(refs, "get"), timeout)


def wait(
    refs: Sequence[ObjectRef], *, num_returns: int = 1, timeout: float | None = None
) -> tuple[list[ObjectRef], list[ObjectRef]]:
    """(references with a value or an error, ``num_returns`` of them or fewer after ``timeout`` seconds; the others). Both in order."""
    own = _refs(refs, "wait")
    if len(set(own)) != len(own):
        raise TwinkleError("INVALID_REQUEST", "expected each ObjectRef once for `wait`")
    if not 1 <= num_returns <= len(own):
        raise TwinkleError(
            "INVALID_REQUEST", f"expected a number from 1 to {len(own)} for `num_returns` but received {num_returns}"
        )
    return current().wait(own, num_returns, timeout)


def _refs(refs: Any, who: str) -> list[ObjectRef]:
    if isinstance(refs, (list, tuple)):
        wrong = [type(one).__name__ for one in refs if not isinstance(one, ObjectRef)]
        if not wrong:
            return list(refs)
        received = f"one with a {wrong[0]} in it"
    else:
        received = f"a {type(refs).__name__}"
    raise TwinkleError("INVALID_REQUEST", f"expected a list of ObjectRefs for `{who}` but received {received}")


def cancel(ref: ObjectRef | ObjectRefGenerator, *, force: bool = False, recursive: bool = True) -> None:
    """Cancel the call whose result that is: one that waits does not begin; a task that runs sees a KeyboardInterrupt, with ``force``
    its worker ends; of an actor only a coroutine that runs is cancelled. ``get`` raises CancelledError then. What is done stays done.
    ``recursive``: what it has called and waits for, too."""
    current().calls.cancel(ref.completed() if isinstance(ref, ObjectRefGenerator) else ref, force, recursive)


def kill(actor: ActorHandle, *, no_restart: bool = True) -> None:
    """End an actor at once; with ``no_restart=False`` it is started again if it has restarts left."""
    if not isinstance(actor, ActorHandle):
        raise TwinkleError(
            "INVALID_REQUEST", f"expected an actor for `kill` but received {type(actor).__name__}; tasks are cancelled"
        )
    current().link.call("actor.kill", {"id": actor._actor_id, "restart": not no_restart})


def get_actor(name: str, namespace: str | None = None) -> ActorHandle:
    """The actor of that name; default namespace: this program's. Raises TwinkleError ``ACTOR_NOT_FOUND``."""
    client = current()
    answer, _ = client.link.call("actor.find", {"namespace": namespace or client.namespace, "name": name})
    return client.handle(msgspec.convert(answer, ActorCard), held=True)


def list_named_actors(all_namespaces: bool = False) -> list[Any]:
    """Names of actors of this namespace; of all as ``{"namespace", "name"}``."""
    client = current()
    found, _ = client.link.call("actor.names", {"namespace": None if all_namespaces else client.namespace})
    return found if all_namespaces else [one["name"] for one in found]


def nodes() -> list[dict[str, Any]]:
    """The boxes of the cluster, as Ray says them."""
    snapshot, _ = current().link.call("cluster.snapshot", {})
    return [
        {
            "NodeID": node["id"],
            "Alive": node["state"] in ("alive", "suspect"),
            "NodeName": node["name"],
            "NodeManagerAddress": node["address"],
            "Resources": dict(node["resources"]),
            "Labels": dict(node["labels"]),
        }
        for node in snapshot["nodes"]
    ]


def cluster_resources() -> dict[str, float]:
    """What all living boxes have."""
    return _sum("resources")


def available_resources() -> dict[str, float]:
    """What nobody holds now."""
    return _sum("available")


def _sum(which: str) -> dict[str, float]:
    snapshot, _ = current().link.call("cluster.snapshot", {})
    total: dict[str, float] = {}
    for node in snapshot["nodes"]:
        if node["state"] not in ("alive", "suspect"):
            continue
        for name, amount in node[which].items():
            total[name] = total.get(name, 0.0) + amount
    return {name: amount for name, amount in total.items() if amount}


def get_gpu_ids() -> list[int]:
    """GPUs of this worker, as its cluster counts them."""
    return [int(one) for one in get_runtime_context().get_accelerator_ids().get("GPU", [])]


def get_runtime_context() -> Context:
    """Where this code runs. Raises TwinkleError ``USAGE`` outside of a cluster."""
    current()
    context = get_context()
    if context is None:
        raise TwinkleError("USAGE", "this process has not joined a cluster: call twinkle_node.init() first")
    return context
