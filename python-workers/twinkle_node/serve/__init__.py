"""Serving, by the names of ``ray.serve``: ``run`` starts a server of twinkle-node as a child of this process, ``shutdown`` ends it."""

from .api import Handle, delete, run, shutdown, start
from .application import Application
from .config import AutoscalingConfig, HTTPOptions

__all__ = ["Application", "AutoscalingConfig", "HTTPOptions", "Handle", "delete", "run", "shutdown", "start"]
