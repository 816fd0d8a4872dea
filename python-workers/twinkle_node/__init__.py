"""Python's door to twinkle-node. Nothing here imports torch or an engine; see ``twinkle_node.serve``."""
