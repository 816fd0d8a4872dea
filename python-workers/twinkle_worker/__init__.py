"""The rank side of twinkle-node: one process per rank, driven over ZeroMQ by the Node process that started it."""
