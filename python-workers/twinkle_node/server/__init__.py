"""A Twinkle Server by its YAML file: ``launch_server`` in a script, or ``python -m twinkle_node.server launch -c FILE``."""

from .launch import launch_server

__all__ = ["launch_server"]
