"""vLLM's own HTTP application over an engine of this process. Decides what of it may be relayed; knows nothing of streams or loops.

Its lifespan is not run: it would only print statistics every few seconds, from a task that never ends, and freeze the heap.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import logging
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from ..base import LoadError
from .asgi import Application
from .bad_bodies import STUMBLES, answer_unreadable
from .compat import serve_functions
from .route_groups import Routes, group_routes

_OF_OTHER_MODELS = (".pooling.", ".speech_to_text.", ".cohere.")


@dataclass(frozen=True, slots=True)
class VllmApp:
    """The application and what it answers.

    application: to be called with ``AsgiCall``
    state: vLLM's state of the application, e.g. ``openai_serving_models``
    """

    application: Application
    routes: Routes
    state: Any


async def build_http_app(llm: Any, arguments: argparse.Namespace, posts: Mapping[str, Callable[..., Any]]) -> VllmApp:
    """Build the application of ``vllm serve`` with its state: models, adapters, chat template, parsers.

    llm: an engine client (AsyncLLM or the like), loaded; adapters of ``--lora-modules`` are loaded through it
    arguments: parsed by vLLM's own parser and checked (``check_arguments``); what concerns a server of its own (address, keys,
    documentation) is ignored
    posts: path → handler of a POST: routes of ours, which are no part of ``routes``

    Raises LoadError when vLLM refuses a template, a parser or an adapter.
    """
    build_app, init_app_state, _ = serve_functions()
    own = _own_arguments(arguments)
    tasks = await llm.get_supported_tasks()
    try:
        with _root_level_kept():
            app = build_app(own, tasks, llm.model_config)
        await init_app_state(llm, app.state, own, tasks)
    except Exception as error:  # whatever vLLM raises here is about its arguments
        raise LoadError(f"vLLM cannot set up its API: {_words(error)}") from error
    # Its handlers ask their HTTP server to exit when the engine is dead. Here the engine's end is the process's.
    app.state.server = SimpleNamespace(should_exit=False)
    routes = group_routes(app.routes, adapters=llm.vllm_config.lora_config is not None)
    if not routes.public:
        raise LoadError(
            "expected routes in vLLM's application but found none; run it with a version of FastAPI that vLLM names"
        )
    for kind in STUMBLES:
        app.add_exception_handler(kind, answer_unreadable)
    # A package that vLLM imports for one cloud's hosting has built it already, with the handlers of then.
    app.middleware_stack = None
    app.router.routes[:] = [route for route in app.router.routes if _kept(route, routes)]
    app.add_route("/metrics", _metrics_page, methods=["GET"])
    for path, handler in posts.items():
        app.add_route(path, handler, methods=["POST"])
    return VllmApp(app, routes, app.state)


def check_arguments(arguments: argparse.Namespace) -> None:
    """Import parsers of the user's own and look whether those that are named exist. Raises LoadError; needs no model, so call it early."""
    _, _, validate = serve_functions()
    try:
        _import_plugins(arguments)
        validate(arguments)
    except Exception as error:  # a plugin is the user's program
        raise LoadError(f"vLLM refuses its arguments: {_words(error)}") from error


def _metrics_page(_request: Any) -> Any:
    """Metrics of this process alone (Prometheus text format). vLLM's own page would be one of all its processes."""
    from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
    from starlette.responses import Response
    from vllm.v1.metrics.prometheus import get_prometheus_registry

    return Response(generate_latest(get_prometheus_registry()), media_type=CONTENT_TYPE_LATEST)


@contextlib.contextmanager
def _root_level_kept() -> Iterator[None]:
    """A package that vLLM imports for one cloud's hosting sets the root logger to ERROR; vLLM itself mends only the handlers."""
    root = logging.getLogger()
    level = root.level
    try:
        yield
    finally:
        root.setLevel(level)


def _own_arguments(arguments: argparse.Namespace) -> argparse.Namespace:
    own = argparse.Namespace(**vars(arguments))
    own.model = getattr(own, "model_tag", None) or own.model
    own.disable_fastapi_docs, own.enable_offline_docs = True, False
    # Keys are checked before a request gets here. An empty one keeps vLLM from looking for VLLM_API_KEY.
    own.api_key = [""]
    return own


def _import_plugins(arguments: argparse.Namespace) -> None:
    from vllm.reasoning import ReasoningParserManager
    from vllm.tool_parsers import ToolParserManager

    if arguments.tool_parser_plugin:
        ToolParserManager.import_tool_parser(arguments.tool_parser_plugin)
    if arguments.reasoning_parser_plugin:
        ReasoningParserManager.import_reasoning_parser(arguments.reasoning_parser_plugin)


def _kept(route: Any, routes: Routes) -> bool:
    """What is not relayed is not there: no path of a request leads to it."""
    return getattr(route, "path", None) in routes.paths


def _words(error: Exception) -> str:
    # str(KeyError) is a repr.
    return str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error) or type(error).__name__


def preload_routes() -> None:
    """Import vLLM's routers, which it imports one by one when an application is built: half a second that forks need not spend."""
    import vllm.entrypoints as entrypoints

    for module in pkgutil.walk_packages(entrypoints.__path__, "vllm.entrypoints.", onerror=lambda _: None):
        if module.name.endswith(".api_router") and not any(part in module.name for part in _OF_OTHER_MODELS):
            with contextlib.suppress(ImportError):  # some want packages that nobody has who does not use them
                importlib.import_module(module.name)
