"""``python -m twinkle_worker``: a rank in an interpreter of its own; the launch document is in ``TWINKLE_LAUNCH``."""

import os
import sys

import msgspec

from .protocol import LaunchSpec
from .rank import run_rank

if __name__ == "__main__":
    sys.exit(run_rank(msgspec.json.decode(os.environ.pop("TWINKLE_LAUNCH"), type=LaunchSpec)))
