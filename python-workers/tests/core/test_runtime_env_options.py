"""``runtime_env`` as it is written, checked, inherited and asked for."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from twinkle_node.core.import_path import import_path
from twinkle_node.core.options import TaskOptions, changed, demand_of
from twinkle_node.core.protocol import RuntimeEnv, Setup
from twinkle_node.core.requirement_lines import absolute, stamp_of
from twinkle_node.core.runtime_env import NOTHING, Inherited, Surrounded, checked
from twinkle_node.errors import ConfigError, RuntimeEnvSetupError, TwinkleError, refused


class Here:
    """A client, as far as it is asked: folders are known by their last name."""

    def __init__(self, inherited: Inherited = NOTHING) -> None:
        self.inherited = inherited


@pytest.fixture(autouse=True)
def puts(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str], str]]:
    """Folders that were put."""
    found: list[tuple[str, list[str], str]] = []

    def put_folder(_client: Any, folder: str, excludes: list[str], prefix: str = "") -> str:
        found.append((folder, excludes, prefix))
        return f"key of {Path(folder).name}"

    monkeypatch.setattr("twinkle_node.core.folders.put_folder", put_folder)
    return found


def asked(given: dict[str, Any], inherited: Inherited = NOTHING) -> tuple[dict[str, str], RuntimeEnv | None]:
    options = changed(TaskOptions(), {"runtime_env": given})
    demand = Surrounded(demand_of(options, 1), options.runtime_env).of(Here(inherited))  # type: ignore[arg-type]
    return demand.env, demand.runtime_env


@pytest.mark.parametrize("key", ["pip", "uv"])
def test_packages_are_a_list_a_file_or_a_mapping(key: str, tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / "x.whl").write_text("")
    (tmp_path / "more.txt").write_text("c\n./local\nwheels/x.whl\n")
    (tmp_path / "list.txt").write_text("a==1  # why\n\n# note\nb>=2,\\\n  <3\n-r more.txt\n-c limits.txt\n")
    assert asked({key: ["a==1", " ", "b"]})[1] == RuntimeEnv(["a==1", "b"], [], "", "", [])
    given = {"packages": ["a"], f"{key}_install_options" if key == "pip" else "uv_pip_install_options": ["--pre"]}
    assert asked({key: given})[1] == RuntimeEnv(["a"], ["--pre"], "", "", [])
    lines = asked({key: str(tmp_path / "list.txt")})[1]
    assert lines is not None
    assert lines.packages == [
        "a==1",
        "b>=2,   <3",
        "c",
        f"{tmp_path}/local",
        f"{tmp_path}/wheels/x.whl",
        f"-c {tmp_path}/limits.txt",
    ]


def test_without_packages_there_is_no_environment() -> None:
    assert asked({"pip": []}) == ({}, None)
    assert asked({"pip": None, "working_dir": None, "env_vars": {"A": "b"}}) == ({"A": "b"}, None)


def test_paths_do_not_depend_on_where_pip_runs() -> None:
    given = ["./a", "../b[x]", "-e .", "--find-links=wheels", "-f https://x/", "/abs", "-i https://y/simple", "name"]
    assert absolute(given, "/at/home") == [
        "/at/home/a",
        "/at/b[x]",
        "-e /at/home",
        "--find-links /at/home/wheels",
        "-f https://x/",
        "/abs",
        "-i https://y/simple",
        "name",
    ]


def test_the_stamp_changes_with_local_projects_and_files_and_not_by_building_them(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "a.py").write_text("1")
    (tmp_path / "w.whl").write_text("1")
    lines = [f"{tmp_path}/project[extra]", f"file://{tmp_path}/w.whl", "name==1", f"-f {tmp_path}"]
    before = stamp_of(lines)
    assert before
    (tmp_path / "project" / "x.egg-info").mkdir()
    (tmp_path / "project" / "x.egg-info" / "PKG-INFO").write_text("")
    assert stamp_of(lines) == before
    (tmp_path / "project" / "a.py").write_text("12")
    changed_once = stamp_of(lines)
    (tmp_path / "w.whl").write_text("12")
    assert len({before, changed_once, stamp_of(lines)}) == 3
    assert stamp_of(["name==1", f"-f {tmp_path}"]) == ""


def test_folders_are_put_with_what_they_exclude(tmp_path: Path, puts: list[Any]) -> None:
    for name in ("work", "lib"):
        (tmp_path / name).mkdir()
    given = {"working_dir": tmp_path / "work", "py_modules": [str(tmp_path / "lib"), json], "excludes": ["*.bin"]}
    env = asked(given)[1]
    assert env == RuntimeEnv([], [], "", "key of work", ["key of lib", "key of json"])
    assert puts[:2] == [(f"{tmp_path}/work", ["*.bin"], ""), (f"{tmp_path}/lib", ["*.bin"], "lib/")]


def test_what_was_checked_means_the_same_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "list.txt").write_text("a\n")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path)
    once = checked({"uv": "list.txt", "working_dir": "work", "env_vars": {"A": "b"}})
    monkeypatch.chdir("/")
    assert checked(once) == once
    assert once["working_dir"] == f"{tmp_path}/work"


def test_variables_are_merged_and_all_else_is_replaced(tmp_path: Path) -> None:
    inherited = Inherited({"A": "1", "B": "1"}, RuntimeEnv(["a"], ["--pre"], "s", "folder", ["m"]))
    assert asked({}, inherited) == ({"A": "1", "B": "1"}, inherited.runtime_env)
    assert asked({"env_vars": {"B": "2"}}, inherited) == ({"A": "1", "B": "2"}, inherited.runtime_env)
    assert asked({"pip": ["b"]}, inherited)[1] == RuntimeEnv(["b"], [], "", "folder", ["m"])
    assert asked({"working_dir": str(tmp_path)}, inherited)[1] == RuntimeEnv(
        ["a"], ["--pre"], "s", f"key of {tmp_path.name}", ["m"]
    )


def test_a_folder_is_put_once_for_a_client_and_again_for_the_next(tmp_path: Path, puts: list[Any]) -> None:
    options = changed(TaskOptions(), {"runtime_env": {"working_dir": str(tmp_path)}})
    surrounded = Surrounded(demand_of(options, 1), options.runtime_env)
    one, other = Here(), Here()
    assert surrounded.of(one) is surrounded.of(one)  # type: ignore[arg-type]
    assert len(puts) == 1
    surrounded.of(other)  # type: ignore[arg-type]
    assert len(puts) == 2


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"pipp": []}, "unknown key `pipp`.*did you mean `pip`"),
        ({"xyz": 1}, "it takes env_vars, excludes, pip, py_modules, uv, working_dir"),
        ({"conda": "env"}, "no `conda` here: use pip"),
        ({"container": {}}, "no `container` here"),
        ({"image_uri": "x"}, "no `image_uri` here"),
        ({"java_jars": []}, "no `java_jars` here"),
        ({"config": {}}, "no `config` here"),
        ({"pip": ["a"], "uv": ["a"]}, "both `pip` and `uv`"),
        ({"pip": [1]}, "list of lines for `pip`"),
        ({"pip": ["a\nb"]}, "list of lines for `pip`"),
        ({"pip": {"package": ["a"]}}, "takes packages and pip_install_options, not `package`"),
        ({"pip": {"packages": ["a"], "pip_check": True}}, "`pip_check`.*not supported"),
        ({"pip": "/nowhere/list.txt"}, "`/nowhere/list.txt` cannot be read"),
        ({"working_dir": "/nowhere"}, "expected a folder or a .zip file for `working_dir`"),
        ({"working_dir": "s3://bucket/x.zip"}, "a path on this box"),
        ({"working_dir": 1}, "expected a path for `working_dir`"),
        ({"py_modules": "lib"}, "expected a list of folders"),
        ({"py_modules": ["/x/y.whl"]}, "wheels belong to `pip`"),
        ({"excludes": "*.bin"}, "list of lines for `excludes`"),
        ({"env_vars": {"A": 1}}, "expected text for variable 'A'"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_write(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        changed(TaskOptions(), {"runtime_env": given})


def test_what_the_node_refuses_is_an_error_of_its_own_that_travels() -> None:
    error = pickle.loads(pickle.dumps(refused("RUNTIME_ENV", "no such package", {})))
    assert isinstance(error, RuntimeEnvSetupError)
    assert (error.code, error.message) == ("RUNTIME_ENV", "no such package")
    assert type(refused("INTERNAL", "other", {})) is TwinkleError


# ---- where workers look for modules ----

PROGRAM = ["/script", "/usr/lib/python3.11", "/venv/lib/python3.11/site-packages", "/appended"]
OWN = [
    "/head",
    "/ours",
    "/usr/lib/python3.11",
    "/env/lib/python3.11/site-packages",
    "/venv/lib/python3.11/site-packages",
]


def paths(packages: list[str], first: list[str] | None = None, program: list[str] = PROGRAM) -> list[str]:
    env = RuntimeEnv(packages, [], "", "", []) if packages else None
    setup = Setup(sys_path=program, cwd="/", namespace="", env={}, devices={}, first_path=first, runtime_env=env)
    return import_path(setup, OWN, "/head")


def test_packages_of_an_environment_come_before_those_that_the_program_has_installed() -> None:
    assert paths(["a"], ["/work", "/lib"]) == [
        *("/work", "/lib", "/script", "/usr/lib/python3.11", "/ours"),
        *("/env/lib/python3.11/site-packages", "/venv/lib/python3.11/site-packages", "/appended"),
    ]


def test_installed_packages_come_late_also_when_a_variable_has_put_them_first() -> None:
    given = ["/script", "/x/site-packages", "/usr/lib/python3.11", "/usr/lib/python3/dist-packages"]
    assert paths(["a"], program=given) == [
        *("/script", "/usr/lib/python3.11", "/ours", "/env/lib/python3.11/site-packages"),
        *("/venv/lib/python3.11/site-packages", "/x/site-packages", "/usr/lib/python3/dist-packages"),
    ]


def test_without_an_environment_the_program_comes_first() -> None:
    assert paths([]) == [*PROGRAM, "/head", "/ours", "/env/lib/python3.11/site-packages"]
