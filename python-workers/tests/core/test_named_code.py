"""Functions and classes that others name: by a file, or by a module."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from twinkle_node.core.named_code import named
from twinkle_node.errors import TwinkleError


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """What the test imports and where it imports from goes with it."""
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def write(folder: Path, text: str, name: str = "work_of_test.py") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return folder / name


def test_a_file_is_the_module_that_import_has_and_its_folder_is_where_it_imports_from(tmp_path: Path) -> None:
    write(tmp_path, "def helper():\n    return 7\n", "helper_of_test.py")
    path = write(tmp_path, "from helper_of_test import helper\n\n\nclass Outer:\n    class Inner:\n        pass\n")
    outer = named(f"file:{path}:Outer")
    import work_of_test  # type: ignore[import-not-found]

    assert work_of_test.Outer is outer
    assert named(f"file:{path}:Outer.Inner") is outer.Inner
    assert named(f"file:{path}:helper")() == 7


def test_files_of_one_name_are_different_modules(tmp_path: Path) -> None:
    one = write(tmp_path / "one", "def who():\n    return 'one'\n")
    two = write(tmp_path / "two", "def who():\n    return 'two'\n")
    assert [named(f"file:{path}:who")() for path in (one, two, one, two)] == ["one", "two", "one", "two"]
    assert named(f"file:{two}:who") is named(f"file:{two}:who")  # and loaded once


def test_a_module_is_imported_and_what_remote_made_of_something_is_that(tmp_path: Path) -> None:
    assert named("import:os.path:join") is __import__("os").path.join
    text = "import twinkle_node as tn\n\n\n@tn.remote\ndef one():\n    return 1\n\n\n@tn.remote(num_gpus=2)\nclass Two:\n    pass\n"
    path = write(tmp_path, text)
    assert named(f"file:{path}:one")() == 1
    assert isinstance(named(f"file:{path}:Two"), type)
    assert not isinstance(sys.modules["work_of_test"].Two, type)


def test_what_is_not_there_is_said_with_what_is(tmp_path: Path) -> None:
    path = write(tmp_path, "def square(x):\n    return x * x\n\n\ndef _hidden():\n    pass\n")
    with pytest.raises(TwinkleError, match=r"there is no `sqare` in .*work_of_test\.py; it has square \[") as raised:
        named(f"file:{path}:sqare")
    assert raised.value.code == "INVALID_REQUEST"
    with pytest.raises(TwinkleError, match="there is no file"):
        named(f"file:{tmp_path}/other.py:square")
    with pytest.raises(ModuleNotFoundError):
        named("import:no_such_module_of_test:x")


def test_a_module_that_raises_is_read_again_the_next_time(tmp_path: Path) -> None:
    path = write(tmp_path, "raise ValueError('not yet')\n")
    with pytest.raises(ValueError, match="not yet"):
        named(f"file:{path}:f")
    path.write_text("def f():\n    return 'now, and longer'\n")
    assert named(f"file:{path}:f")() == "now, and longer"
