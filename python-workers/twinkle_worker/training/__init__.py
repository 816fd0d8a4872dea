"""The training core of a rank: many LoRA runs on one frozen base model, their losses, steps and checkpoints.

A library of torch alone: it knows nothing of sockets, frames, Node, or the wire format of the service that it trains for.
Importing this package costs nothing; start at ``loading.open_trainer`` or ``trainer.Trainer``.
"""
