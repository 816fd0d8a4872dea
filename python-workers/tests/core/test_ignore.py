"""Which files are left out. Where there is git, it is asked, too."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from twinkle_node.core.folders import entries_of
from twinkle_node.core.ignore import is_ignored, rules_of


def ignored(pattern: str, path: str) -> bool:
    return is_ignored(path.removesuffix("/"), path.endswith("/"), [("", rules_of(pattern.splitlines()))])


@pytest.mark.parametrize(
    ("pattern", "out", "left"),
    [
        ("*.log", ["a.log", "x/y/b.log", ".log"], ["a.log.txt", "log"]),
        ("build/", ["build/", "x/build/"], ["build", "x/build"]),
        ("/data", ["data", "data/"], ["x/data"]),
        ("a/b", ["a/b"], ["x/a/b", "a/bc"]),
        ("**/b", ["b", "a/b", "a/c/b"], ["ab"]),
        ("a/**", ["a/b", "a/b/c"], ["a", "b/a/c"]),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["ab", "a/xb"]),
        ("a?c", ["abc"], ["ac", "a/c", "abbc"]),
        ("[ab].py", ["a.py", "x/b.py"], ["c.py", "ab.py"]),
        ("[!ab].py", ["c.py"], ["a.py"]),
        ("# note\n\n", [], ["# note", "note"]),
        ("\\#x\n\\!y", ["#x", "!y"], ["x", "y"]),
        ("*.txt\n!keep.txt", ["a.txt"], ["keep.txt"]),
        ("end  ", ["end"], ["end  "]),
        ("end\\ ", ["end "], ["end"]),
        ("a.b", ["a.b"], ["axb"]),
        ("x[", [], ["x", "x["]),
        ("foo*bar/", ["foobar/", "x/foo1bar/"], ["foobar"]),
    ],
)
def test_patterns_mean_what_git_says(pattern: str, out: list[str], left: list[str]) -> None:
    assert {path: ignored(pattern, path) for path in (*out, *left)} == {
        **dict.fromkeys(out, True),
        **dict.fromkeys(left, False),
    }


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git")
@pytest.mark.parametrize("seed", range(12))
def test_random_rules_leave_the_files_that_git_leaves(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    names = ["a", "b", "ab", "a.py", "b.py", "x y"]
    for _ in range(40):
        parts = [chance.choice(names[:3]) for _ in range(chance.randrange(4))]
        folder = tmp_path.joinpath(*(f"d{part}" for part in parts))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / chance.choice(names)).write_text("")
    pieces = ["a", "b", "*", "?", "**", "da", "d*", "*.py", "[ab]", "[!a]*", "x y"]
    folders = [tmp_path, *(path for path in tmp_path.rglob("*") if path.is_dir())]
    for folder in chance.sample(folders, min(4, len(folders))):
        lines = []
        for _ in range(chance.randrange(1, 5)):
            text = "/".join(chance.choice(pieces) for _ in range(chance.randrange(1, 4)))
            lines.append(chance.choice(["", "", "!"]) + chance.choice(["", "/"]) + text + chance.choice(["", "", "/"]))
        (folder / ".gitignore").write_text("\n".join(lines))
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    asked = [
        "git",
        "-C",
        str(tmp_path),
        "-c",
        "core.quotePath=off",
        "ls-files",
        "-z",
        "--others",
        "--exclude-per-directory=.gitignore",
    ]
    expected = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split("\0")[:-1]
    found = [entry.name for entry in entries_of(str(tmp_path), []) if not entry.name.endswith("/")]
    rules = {str(path): path.read_text() for path in tmp_path.rglob(".gitignore")}
    assert sorted(found) == sorted(expected), rules
