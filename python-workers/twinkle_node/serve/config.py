"""Ray Serve's names for parts of a deployment's configuration. They hold what was written; the server checks it."""

from __future__ import annotations

from typing import Any


class Settings(dict[str, Any]):
    """A mapping that is written with keywords and read as attributes, too."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"{type(self).__name__} has no {name!r}: it was not set") from None


class AutoscalingConfig(Settings):
    """``deployment_config["autoscaling_config"]``: min_replicas, max_replicas, target_ongoing_requests, upscale_delay_s, …"""


class HTTPOptions(Settings):
    """Where to listen: host, port."""
