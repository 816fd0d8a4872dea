"""Folders of tasks and actors: working directories and modules."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from actors_support import end, program, said
from runtime_env_support import StartHead, heads

import twinkle_node as tn
from twinkle_node.core.api import ClusterInfo


@pytest.fixture
def head() -> Iterator[StartHead]:
    with heads() as start:
        yield start


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "data").mkdir(parents=True)
    (folder / "rt_code.py").write_text("NAME = 'first'\n")
    (folder / "data" / "words.txt").write_text("some words")
    (folder / "secret.txt").write_text("no")
    (folder / ".gitignore").write_text("secret.txt\n")
    return folder


@tn.remote
def around() -> tuple[str, str, str, list[str]]:
    import rt_code  # pyright: ignore[reportMissingImports]

    return rt_code.NAME, Path("data/words.txt").read_text(), os.getcwd(), sorted({*os.listdir()} - {"__pycache__"})


def test_a_working_dir_is_where_workers_run_and_find_modules_and_data(project: Path, cluster: ClusterInfo) -> None:
    task = around.options(runtime_env={"working_dir": str(project)})
    name, words, place, files = tn.get(task.remote(), timeout=30)
    assert (name, words, files) == ("first", "some words", [".gitignore", "data", "rt_code.py"])
    assert place.startswith(f"{cluster.home}/code/")
    assert Path(place).stat().st_mode & 0o777 == 0o700
    # What changes in the folder is another content: whoever asks next has that, the others keep theirs.
    (project / "rt_code.py").write_text("NAME = 'second'\n")
    again = around.options(runtime_env={"working_dir": str(project), "excludes": ["/.gitignore"]})
    assert tn.get([task.remote(), again.remote()], timeout=30)[0][0] == "first"
    assert tn.get(again.remote(), timeout=30)[0] == "second"
    assert ".gitignore" not in tn.get(again.remote(), timeout=30)[3]


def test_two_programs_have_their_own_content_of_the_same_folder(project: Path, cluster: ClusterInfo) -> None:
    source = f"""
import sys, twinkle_node as tn
tn.init("auto", runtime_env={{"working_dir": {str(project)!r}, "env_vars": {{"A": "of all"}}}})
@tn.remote(runtime_env={{"env_vars": {{"B": "of one"}}}})
class Actor:
    def look(self):
        import os, rt_code
        return rt_code.NAME, os.environ["A"], os.environ["B"]
actor = Actor.remote()
print(tn.get(actor.look.remote()), flush=True)
sys.stdin.readline()
print(tn.get(Actor.remote().look.remote()), flush=True)
"""
    first = program(source, cluster.home)
    assert said(first) == "('first', 'of all', 'of one')"
    (project / "rt_code.py").write_text("NAME = 'second'\n")
    second = program(source, cluster.home)
    assert said(second) == "('second', 'of all', 'of one')"
    assert [end(one) for one in (first, second)] == [
        f"('{name}', 'of all', 'of one')\n" for name in ("first", "second")
    ]


def test_a_zip_file_and_modules_do_as_well(project: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "code.zip", "w") as packed:
        packed.writestr("rt_code.py", "NAME = 'zipped'\n")
        packed.writestr("data/words.txt", "zipped words")
    (tmp_path / "rt_module").mkdir()
    (tmp_path / "rt_module" / "__init__.py").write_text("NAME = 'module'\n")
    zipped = {"working_dir": str(tmp_path / "code.zip")}
    assert tn.get(around.options(runtime_env=zipped).remote(), timeout=30)[:2] == ("zipped", "zipped words")

    @tn.remote(runtime_env={"py_modules": [str(tmp_path / "rt_module")], **zipped})
    def both() -> tuple[str, str, str]:
        import rt_code  # pyright: ignore[reportMissingImports]
        import rt_module  # pyright: ignore[reportMissingImports]

        # A program that it starts finds them, too.
        told = subprocess.run(
            [sys.executable, "-c", "import rt_module as m; print(m.NAME)"], capture_output=True, text=True
        )
        return rt_code.NAME, rt_module.NAME, told.stdout.strip()

    assert tn.get(both.remote(), timeout=30) == ("zipped", "module", "module")


def test_an_archive_that_would_leave_its_folder_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as packed:
        packed.writestr("../evil.py", "")
    with pytest.raises(tn.TwinkleError, match=r"`../evil.py` would lie outside of the folder"):
        around.options(runtime_env={"working_dir": str(tmp_path / "evil.zip")}).remote()


def test_folders_of_a_killed_head_go_with_the_next(project: Path, tmp_path: Path, head: StartHead) -> None:
    home = tmp_path / "h"
    source = f"""
import sys, twinkle_node as tn
tn.init("auto", runtime_env={{"working_dir": {str(project)!r}}})
print("put", flush=True)
sys.stdin.readline()
"""
    process = head(home)
    driver = program(source, str(home))
    assert said(driver) == "put"
    assert len(list((home / "code").iterdir())) == 1
    process.kill()
    process.wait()
    driver.kill()
    driver.communicate()
    process = head(home)
    assert list((home / "code").iterdir()) == []
    process.terminate()
    process.wait()
