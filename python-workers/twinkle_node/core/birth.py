"""The first thing that an actor does: its constructor."""

from __future__ import annotations

from typing import Any

import msgspec

from .arguments import Late
from .client import Client
from .context import get_context
from .protocol import ActorCard, ActorSpec, Assign
from .remote import ASYNC_CONCURRENCY, methods_of
from .stored import Stored


def suited(client: Client, spec: ActorSpec) -> tuple[ActorSpec, dict[str, Any]]:
    """(the actor as its class wants it where its maker only named that, what the node is told then). Raises what its class raises."""
    if spec.methods:
        return spec, {}
    methods, is_async = methods_of(client.fetch_code(spec.cls), spec.groups, -1)
    at_once = spec.max_concurrency or (ASYNC_CONCURRENCY if is_async else 1)
    known = msgspec.structs.replace(spec, methods=methods, max_concurrency=at_once)
    return known, {"methods": methods, "ordered": at_once == 1 and not spec.groups}


def born(client: Client, assign: Assign, body: bytes) -> Any:
    """The instance. Raises what its class, its arguments or its constructor raise."""
    spec = assign.spec
    context = get_context()
    if context is not None:
        context.actor_id, context.actor_name, context.restarts = spec.id, spec.name, assign.epoch
        ordered = spec.max_concurrency <= 1 and not spec.groups  # as the node says it
        names = (spec.id, spec.cls_name, spec.name, spec.namespace)
        context.card = ActorCard(*names, spec.methods, spec.max_task_retries, ordered)
    cls = client.fetch_code(spec.cls)
    keep = client.objects.adopt(spec.args.refs)
    args, kwargs = client.objects.value_of(Stored(spec.args, body, keep))

    def there(value: Any) -> Any:
        return client.get([value.ref], None)[0] if type(value) is Late else value

    return cls(*map(there, args), **{name: there(value) for name, value in kwargs.items()})
