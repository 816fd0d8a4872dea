"""Doors of vLLM's application: what is for everybody, what is for operators, and what stays inside."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from twinkle_worker.engines.vllm.route_groups import Route, group_routes


def route(path: str, *methods: str, module: str = "vllm.entrypoints.openai.api_router") -> Any:
    return SimpleNamespace(path=path, methods=set(methods or ("POST",)), endpoint=SimpleNamespace(__module__=module))


DEV, RL = "vllm.entrypoints.serve.dev.rpc.api_router", "vllm.entrypoints.rl.online.api_router"


def paths(routes: tuple[Route, ...]) -> list[str]:
    return [found.path for found in routes]


def test_what_is_not_for_operators_is_public() -> None:
    routes = group_routes([route("/v1/responses"), route("/v1/responses/{response_id}", "GET", "HEAD")], adapters=True)
    assert routes.public == (Route("/v1/responses", ("POST",)), Route("/v1/responses/{response_id}", ("GET",)))
    assert routes.control == ()
    assert routes.paths == {"/v1/responses", "/v1/responses/{response_id}"}


def test_operators_get_what_is_known_to_be_safe_in_their_hands() -> None:
    routes = group_routes(
        [route("/sleep", module=DEV), route("/pause", module=RL), route("/start_profile")], adapters=True
    )
    assert paths(routes.control) == ["/sleep", "/pause", "/start_profile"]
    assert routes.public == ()


@pytest.mark.parametrize(
    ("path", "module"),
    [
        ("/collective_rpc", DEV),
        ("/server_info", "vllm.entrypoints.serve.dev.server_info.api_router"),
        ("/weight_checker", RL),
        ("/something_new", DEV),
        ("/something_new", RL),
        ("/abort_requests", RL),
        ("/adapters/{adapter_name}", "model_hosting_container_standards.common.transforms.base_factory"),
        ("/scale_elastic_ep", "vllm.entrypoints.serve.elastic_ep.api_router"),
        ("/health", "vllm.entrypoints.serve.instrumentator.health"),
        ("/metrics", "prometheus_fastapi_instrumentator.instrumentation"),
        ("/inference/v1/abort_requests", "vllm.entrypoints.scale_out.token_in_token_out.api_router"),
    ],
)
def test_the_rest_stays_inside(path: str, module: str) -> None:
    routes = group_routes([route(path, module=module)], adapters=True)
    assert routes.paths == frozenset()


def test_adapters_are_loaded_only_where_there_may_be_some() -> None:
    both = [route("/v1/load_lora_adapter"), route("/v1/unload_lora_adapter")]
    assert paths(group_routes(both, adapters=True).control) == ["/v1/load_lora_adapter", "/v1/unload_lora_adapter"]
    assert group_routes(both, adapters=False).paths == frozenset()


def test_methods_of_one_path_are_one_route_and_mounts_are_none() -> None:
    mount = SimpleNamespace(path="/metrics", name="metrics")
    routes = group_routes([route("/v1/x", "POST"), mount, route("/v1/x", "GET")], adapters=False)
    assert routes.public == (Route("/v1/x", ("GET", "POST")),)
