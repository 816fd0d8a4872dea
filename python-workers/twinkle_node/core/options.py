"""Options of tasks and actors as users write them, checked: wrong ones are refused with what to write instead."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from ..errors import ConfigError
from .protocol import Demand, PlaceInGroup
from .runtime_env import checked
from .scheduling import NodeAffinitySchedulingStrategy, PlacementGroupSchedulingStrategy


@dataclass(frozen=True)
class Common:
    """What tasks and actors share. ``num_cpus`` None: 1 for tasks; an actor is placed by one and holds none."""

    num_cpus: float | None = None
    num_gpus: float | None = None
    memory: float | None = None
    resources: Mapping[str, float] | None = None
    accelerator_type: str | None = None
    label_selector: Mapping[str, str] | None = None
    scheduling_strategy: Any = None
    runtime_env: Mapping[str, Any] | None = None
    name: str | None = None


@dataclass(frozen=True)
class TaskOptions(Common):
    """Of ``@remote`` functions. ``max_retries``: for workers that die (-1: without end); exceptions count with ``retry_exceptions``."""

    max_retries: int = 3
    retry_exceptions: bool = False
    num_returns: int | str | None = None


@dataclass(frozen=True)
class ActorOptions(Common):
    """Of ``@remote`` classes."""

    namespace: str | None = None
    lifetime: str | None = None
    get_if_exists: bool = False
    max_restarts: int = 0
    max_task_retries: int = 0
    max_concurrency: int | None = None
    max_pending_calls: int = -1
    concurrency_groups: Mapping[str, int] | None = None


def changed(options: Any, given: Mapping[str, Any]) -> Any:
    """The options with those changed. Raises ConfigError for what is none, or has a wrong type."""
    known = {field.name: field.default for field in fields(options)}
    for name, value in given.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean `{near[0]}`?" if near else f"; there are {', '.join(sorted(known))}"
            raise _wrong(f"unknown option `{name}`{hint}")
        check = _CHECKS.get(name)
        if value is None and known[name] is None:
            continue
        if check is not None and not check[1](value):
            raise _wrong(f"expected {check[0]} for `{name}` but received {value!r}")
    if given.get("runtime_env") is not None:
        given = {**given, "runtime_env": checked(given["runtime_env"])}
    return replace(options, **given)


def demand_of(options: Common, default_cpus: float) -> Demand:
    """What a worker with those options needs."""
    resources: dict[str, float] = {}
    cpus = default_cpus if options.num_cpus is None else options.num_cpus
    named = (("CPU", cpus), ("GPU", options.num_gpus), ("memory", options.memory))
    resources.update({name: float(amount) for name, amount in named if amount})
    for name, amount in (options.resources or {}).items():
        if name in ("CPU", "GPU", "memory"):
            raise _wrong(f"`{name}` is no custom resource: use num_cpus, num_gpus or memory")
        if amount:
            resources[name] = float(amount)
    if options.accelerator_type:
        resources[f"accelerator_type:{options.accelerator_type}"] = 0.001
    group = _place_in_group(options.scheduling_strategy)
    strategy, node, soft = _strategy(options.scheduling_strategy)
    return Demand(
        resources=resources,
        strategy=strategy,
        node=node,
        soft=soft,
        selectors=dict(options.label_selector or {}),
        group=group,
        env=dict((options.runtime_env or {}).get("env_vars", {})),
    )


def _strategy(strategy: Any) -> tuple[str, str, bool]:
    if strategy is None or strategy == "DEFAULT" or isinstance(strategy, PlacementGroupSchedulingStrategy):
        return "default", "", False
    if strategy == "SPREAD":
        return "spread", "", False
    if isinstance(strategy, NodeAffinitySchedulingStrategy):
        return "node", strategy.node_id, strategy.soft
    raise _wrong(
        f'expected "DEFAULT", "SPREAD", a NodeAffinitySchedulingStrategy or a PlacementGroupSchedulingStrategy for '
        f"`scheduling_strategy` but received {strategy!r}"
    )


def _place_in_group(strategy: Any) -> PlaceInGroup | None:
    if not isinstance(strategy, PlacementGroupSchedulingStrategy):
        return None
    group, bundle = strategy.placement_group, strategy.placement_group_bundle_index
    if group is None:
        return None  # as Ray: outside of the group of who starts it
    if not isinstance(bundle, int) or not -1 <= bundle < group.bundle_count:
        raise _wrong(
            f"expected -1 or a bundle from 0 to {group.bundle_count - 1} for `placement_group_bundle_index` but received {bundle!r}"
        )
    return PlaceInGroup(group.id, bundle, strategy.placement_group_capture_child_tasks or None)


def _wrong(message: str) -> ConfigError:
    return ConfigError("CONFIG_INVALID", message)


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0 and math.isfinite(value)


def _count(least: int) -> tuple[str, Callable[[Any], bool]]:
    return (
        f"a whole number ≥ {least}",
        lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= least,
    )


def _returns(value: Any) -> bool:
    return value in ("streaming", "dynamic") or _count(0)[1](value)


def returns_of(num_returns: Any, generates: bool) -> int | None:
    """As Invoke has it. ``generates``: it is a generator. Raises ConfigError for what is no such number."""
    if num_returns is not None and not _returns(num_returns):
        raise _wrong(f"expected {_CHECKS['num_returns'][0]} for `num_returns` but received {num_returns!r}")
    if isinstance(num_returns, str):
        return None if generates else -1
    return None if num_returns == 1 else num_returns


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _boolean(value: Any) -> bool:
    return isinstance(value, bool)


_AMOUNT = "a number ≥ 0", _number
_CHECKS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "num_cpus": _AMOUNT,
    "num_gpus": _AMOUNT,
    "memory": ("bytes, a number ≥ 0", _number),
    "resources": (
        "a mapping of names to numbers ≥ 0",
        lambda value: isinstance(value, Mapping) and all(map(_text, value)) and all(map(_number, value.values())),
    ),
    "accelerator_type": ("text", _text),
    "label_selector": (
        "a mapping of labels to expressions",
        lambda value: isinstance(value, Mapping) and all(map(_text, (*value, *value.values()))),
    ),
    "runtime_env": ("a mapping", lambda value: isinstance(value, Mapping)),
    "name": ("text that is not empty", lambda value: _text(value) and value != ""),
    "namespace": ("text that is not empty", lambda value: _text(value) and value != ""),
    "lifetime": ('"detached"', lambda value: value in ("detached", "non_detached")),
    "get_if_exists": ("True or False", _boolean),
    "retry_exceptions": ("True or False", _boolean),
    "num_returns": ('a whole number ≥ 0, "streaming" or "dynamic"', _returns),
    "max_retries": _count(-1),
    "max_restarts": _count(-1),
    "max_task_retries": _count(-1),
    "max_pending_calls": _count(-1),
    "max_concurrency": _count(1),
    "concurrency_groups": (
        "a mapping of names to whole numbers ≥ 1",
        lambda value: isinstance(value, Mapping) and all(map(_text, value)) and all(map(_count(1)[1], value.values())),
    ),
}
