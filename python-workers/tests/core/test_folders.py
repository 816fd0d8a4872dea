"""Folders of programs: what is packed under which key, and how it is unpacked."""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from twinkle_node.core import folders
from twinkle_node.core.folders import entries_of, put_folder
from twinkle_node.core.protocol import FolderPart
from twinkle_node.core.unpack import Refused, unpack
from twinkle_node.errors import ConfigError


class Node:
    """What has been put, by key."""

    def __init__(self) -> None:
        self.link = self
        self.zips: dict[str, bytes] = {}
        self.parts: list[FolderPart] = []

    def call(self, method: str, params: Any, body: Any = ()) -> tuple[Any, memoryview]:
        if method == "folder.has":
            return params["key"] in self.zips, memoryview(b"")
        self.parts.append(params)
        before = b"" if params.at == 0 else self.zips[params.key]
        assert len(before) == params.at
        self.zips[params.key] = before + b"".join(body)
        return None, memoryview(b"")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "package").mkdir(parents=True)
    (folder / "empty").mkdir()
    (folder / "main.py").write_text("print()")
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "package" / "data.txt").write_text("data")
    for left_out in (".git/config", "package/__pycache__/x.pyc", ".venv/pyvenv.cfg", "secret.key", "big.bin"):
        (folder / left_out).parent.mkdir(parents=True, exist_ok=True)
        (folder / left_out).write_text("no")
    (folder / ".gitignore").write_text("*.key\n")
    return folder


def put(folder: Path, *excludes: str, prefix: str = "") -> tuple[str, Node]:
    node = Node()
    return put_folder(node, str(folder), excludes, prefix), node  # type: ignore[arg-type]


def unpacked(node: Node, key: str, into: Path) -> Path:
    archive = into / "packed.zip"
    archive.write_bytes(node.zips[key])
    unpack(str(archive), str(into / "out"))
    return into / "out"


def test_a_folder_arrives_as_it_is_without_what_is_left_out(project: Path, tmp_path: Path) -> None:
    key, node = put(project, "big.bin", "/nothing")
    out = unpacked(node, key, tmp_path)
    found = sorted(str(path.relative_to(out)) for path in out.rglob("*"))
    assert found == [".gitignore", "empty", "main.py", "package", "package/data.txt", "run.sh"]
    assert (out / "package" / "data.txt").read_text() == "data"
    modes = {name: stat.S_IMODE((out / name).stat().st_mode) for name in ("main.py", "run.sh", "package", ".")}
    assert modes == {"main.py": 0o400, "run.sh": 0o500, "package": 0o700, ".": 0o700}


def test_the_key_is_of_the_content(project: Path) -> None:
    first, node = put(project)
    assert put_folder(node, str(project), []) == first  # type: ignore[arg-type]
    assert len(node.parts) == 1  # what is there is not sent again
    os.utime(project / "main.py", (1, 1))
    assert put(project)[0] == first
    assert put(project, "main.py")[0] != first
    assert put(project, prefix="project/")[0] != first
    (project / "main.py").write_text("print!)")
    second = put(project)[0]
    (project / "main.py").rename(project / "main2.py")
    third = put(project)[0]
    (project / "main2.py").chmod(0o755)
    assert len({first, second, third, put(project)[0]}) == 4


def test_a_file_that_changes_while_it_is_packed_is_under_the_key_of_what_was_packed(
    project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before, _ = put(project)
    plain: Callable[..., str] = folders._pack

    def late(*args: Any) -> str:
        (project / "main.py").write_text("changed")
        return plain(*args)

    monkeypatch.setattr(folders, "_pack", late)
    key, node = put(project)
    assert key != before
    assert (unpacked(node, key, tmp_path) / "main.py").read_text() == "changed"


def test_large_folders_come_in_parts(project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(folders, "PART", 100)
    key, node = put(project)
    assert len(node.parts) > 3
    assert [part.last for part in node.parts] == [False] * (len(node.parts) - 1) + [True]
    assert (unpacked(node, key, tmp_path) / "main.py").read_text() == "print()"


def test_too_large_a_folder_is_refused_with_its_largest_files(project: Path) -> None:
    for name, size in (("huge.bin", 400), ("large.bin", 200)):
        with open(project / name, "wb") as file:
            file.truncate(size * 1024**2)
    with pytest.raises(
        ConfigError, match=r"600 MiB, more than the 512 MiB.*huge.bin \(400 MiB\), large.bin \(200 MiB\).*excludes"
    ):
        put(project)
    assert put(project, "*.bin")[0]


def test_links_are_followed_but_not_in_circles(project: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "x").write_text("x")
    (project / "linked").symlink_to(tmp_path / "elsewhere")
    (project / "circle").symlink_to(project)
    (project / "nowhere").symlink_to(tmp_path / "missing")
    names = [entry.name for entry in entries_of(str(project), [])]
    assert "linked/x" in names
    assert not [name for name in names if name.startswith(("circle/main", "nowhere"))]


def test_a_zip_file_is_taken_as_it_is(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "code.zip", "w") as archive:
        archive.writestr("main.py", "print()")
    key, node = put(tmp_path / "code.zip")
    assert (unpacked(node, key, tmp_path) / "main.py").read_text() == "print()"
    (tmp_path / "code.zip").write_text("no zip")
    with pytest.raises(ConfigError, match="no zip file"):
        put(tmp_path / "code.zip")


def entry(name: str, mode: int = 0o100644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo()
    info.filename, info.external_attr = name, mode << 16
    return info


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([entry("../x")], "outside"),
        ([entry("a/../../x")], "outside"),
        ([entry("/etc/x")], "outside"),
        ([entry("a\\..\\x")], "outside"),
        ([entry("./")], "outside"),
        ([entry("link", 0o120777)], "neither a file nor a folder"),
        ([entry("a"), entry("a")], "two entries"),
        ([entry("a"), entry("a/b")], "two entries"),
    ],
)
def test_a_zip_file_that_would_leave_its_folder_is_refused(
    entries: list[zipfile.ZipInfo], words: str, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        for one in entries:
            archive.writestr(one, "/etc/passwd")
    with pytest.raises(Refused, match=words):
        unpack(str(tmp_path / "bad.zip"), str(tmp_path / "out"))
    assert {path.name for path in tmp_path.iterdir()} == {"bad.zip", "out"}


def test_files_that_are_too_large_together_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a", b"x" * 60)
        archive.writestr("b", b"x" * 60)
    with pytest.raises(Refused, match="more than"):
        unpack(str(tmp_path / "a.zip"), str(tmp_path / "out"), largest=100)
    assert unpack(str(tmp_path / "a.zip"), str(tmp_path / "out2"), largest=120) == 120
