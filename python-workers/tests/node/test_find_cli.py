"""Where the command line is looked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from twinkle_node.errors import TwinkleError
from twinkle_node.find_cli import find_cli


def program(folder: Path, name: str) -> str:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


def test_each_place_in_its_turn(tmp_path: Path) -> None:
    bin_folder = tmp_path / "bin"
    env = {"PATH": str(bin_folder)}
    with pytest.raises(TwinkleError, match="neither twinkle-node nor npx is on PATH"):
        find_cli(env, tmp_path)
    npx = program(bin_folder, "npx")
    assert find_cli(env, tmp_path) == [npx, "--yes", "twinkle-node"]
    installed = program(bin_folder, "twinkle-node")
    assert find_cli(env, tmp_path) == [installed]
    main = tmp_path / "dist" / "cli" / "main.js"
    main.parent.mkdir(parents=True)
    main.write_text("")
    with pytest.raises(TwinkleError, match="node is not on PATH"):
        find_cli(env, tmp_path)
    node = program(bin_folder, "node")
    assert find_cli(env, tmp_path) == [node, str(main)]
    assert find_cli({**env, "TWINKLE_NODE_CLI": "/x/main.js --flag"}, tmp_path) == [node, "/x/main.js", "--flag"]
    assert find_cli({**env, "TWINKLE_NODE_CLI": "'/a b/run' x"}, tmp_path) == ["/a b/run", "x"]
