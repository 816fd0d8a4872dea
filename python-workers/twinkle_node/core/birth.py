"""The first thing that an actor does: its constructor."""

from __future__ import annotations

from typing import Any

from .client import Client, Late
from .context import get_context
from .protocol import Assign
from .stored import Stored


def born(client: Client, assign: Assign, body: bytes) -> Any:
    """The instance. Raises what its class, its arguments or its constructor raise."""
    spec = assign.spec
    context = get_context()
    if context is not None:
        context.actor_id, context.actor_name, context.restarts = spec.id, spec.name, assign.epoch
    cls = client.fetch_code(spec.cls)
    keep = client.objects.adopt(spec.args.refs)
    args, kwargs = client.objects.value_of(Stored(spec.args, body, keep))

    def there(value: Any) -> Any:
        return client.get([value.ref], None)[0] if type(value) is Late else value

    return cls(*map(there, args), **{name: there(value) for name, value in kwargs.items()})
