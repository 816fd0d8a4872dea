"""``python -m twinkle_node.server``: becomes the command line of twinkle-node."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from ..errors import TwinkleError
from ..find_cli import find_cli

COMMANDS = ("launch", "check-config", "print-config")


def cli_words(words: Sequence[str]) -> list[str]:
    """The command and its words: flags alone (``--config FILE``, as older documents write it) are those of ``launch``.

    Raises TwinkleError ``USAGE`` for another command.
    """
    if not words or words[0].startswith("-"):
        return ["launch", *words]
    if words[0] not in COMMANDS:
        known = ", ".join(COMMANDS)
        raise TwinkleError(
            "USAGE", f'expected one of {known}, or --config FILE, but received "{words[0]}"', exit_code=2
        )
    return list(words)


def main() -> int:
    """Does not return unless there is no such command."""
    try:
        command = [*find_cli(os.environ), *cli_words(sys.argv[1:])]
    except TwinkleError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code or 1
    os.execvp(command[0], command)


if __name__ == "__main__":
    sys.exit(main())
