"""Which routes of vLLM's application Node may relay, and through which door. Pure: looks at paths and modules, imports nothing of vLLM."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

ADAPTERS = frozenset(("/v1/load_lora_adapter", "/v1/unload_lora_adapter"))

CONTROL = ADAPTERS | frozenset(
    (
        "/sleep",
        "/wake_up",
        "/is_sleeping",
        "/release_kv_cache_memory",
        "/pause",
        "/resume",
        "/is_paused",
        "/reset_prefix_cache",
        "/reset_mm_cache",
        "/reset_encoder_cache",
        "/start_profile",
        "/stop_profile",
        "/init_weight_transfer_engine",
        "/shutdown_weight_transfer_engine",
        "/start_weight_update",
        "/start_draft_weight_update",
        "/update_weights",
        "/finish_weight_update",
        "/update_weight_version",
        "/weight_info",
        "/get_world_size",
    )
)
"""For operators. Whatever else comes from the modules below stays inside: /collective_rpc calls any method of the workers, /server_info
prints the environment, /weight_checker can wipe the weights, /abort_requests ends requests behind their streams' backs."""

OPERATORS_MODULES = (
    ".serve.dev.",
    ".rl.",
    ".fault_tolerance.",
    ".elastic_ep.",
    ".sagemaker.",
    "model_hosting_container_standards",
)

INSIDE = frozenset(
    (
        "/health",
        "/ping",
        "/invocations",
        "/version",
        "/load",
        "/metrics",
        "/kv_event_sources",
        "/docs",
        "/redoc",
        "/openapi.json",
        "/inference/v1/abort_requests",
    )
)
"""What Node does itself, for all replicas: the last one would end requests without a word to their streams."""


@dataclass(frozen=True, slots=True)
class Route:
    """path: as vLLM writes it, e.g. ``/v1/responses/{response_id}``; methods: upper case, sorted, without HEAD."""

    path: str
    methods: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Routes:
    """public: for everybody who may send requests; control: for operators only."""

    public: tuple[Route, ...]
    control: tuple[Route, ...]

    @property
    def paths(self) -> frozenset[str]:
        """Paths of both doors."""
        return frozenset(route.path for route in (*self.public, *self.control))


def group_routes(routes: Iterable[Any], adapters: bool) -> Routes:
    """Sort the routes of a Starlette application; without ``adapters`` those to load LoRA adapters are left out.

    Mounts and websockets are left out, and so is whatever a module for operators adds that is not known here.
    """
    found: dict[str, dict[str, set[str]]] = {"public": {}, "control": {}}
    for route in routes:
        path: str = getattr(route, "path", "")
        methods: set[str] = getattr(route, "methods", None) or set()
        door = _door(path, getattr(getattr(route, "endpoint", None), "__module__", ""), adapters)
        if methods and door is not None:
            found[door].setdefault(path, set()).update(methods)
    public, control = (
        tuple(Route(path, tuple(sorted(methods - {"HEAD"}))) for path, methods in group.items())
        for group in found.values()
    )
    return Routes(public, control)


def _door(path: str, module: str, adapters: bool) -> str | None:
    if path in ADAPTERS and not adapters:
        return None
    if path in CONTROL:
        return "control"
    if path in INSIDE or any(part in module for part in OPERATORS_MODULES):
        return None
    return "public"
