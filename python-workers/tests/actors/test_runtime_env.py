"""Packages and folders of tasks and actors: real environments of tiny wheels made here, so that no index is needed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from actors_support import alive, end, eventually, program, said
from runtime_env_support import StartHead, heads, wheel

import twinkle_node as tn
from twinkle_node.core.api import ClusterInfo
from twinkle_node.find_cli import find_cli


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Has ``wheels`` and the cache of environments."""
    folder = tmp_path_factory.mktemp("runtime-env")
    (folder / "wheels").mkdir()
    for version in ("1.0", "2.0"):
        wheel(folder / "wheels", version)
    return folder


@pytest.fixture(scope="module", autouse=True)
def cluster(base: Path) -> Any:
    """A head with a cache of its own. This process is its driver."""
    joined = tn.init("local", num_cpus=4, env={"TWINKLE_CACHE": str(base / "cache")})
    yield joined
    tn.shutdown()
    assert not list((base / "cache" / "envs").glob(".draft*"))
    assert not list((base / "cache" / "envs").glob("*.lock"))
    assert not Path(joined.home).exists()


@pytest.fixture
def head() -> Iterator[StartHead]:
    with heads() as start:
        yield start


def packages(base: Path, *lines: str, **more: Any) -> dict[str, Any]:
    """From the wheels of this test alone."""
    options = ["--no-index", "--find-links", str(base / "wheels")]
    return {"pip": {"packages": list(lines), "pip_install_options": options}, **more}


@tn.remote
def version() -> str:
    import rt_demo  # pyright: ignore[reportMissingImports]

    return rt_demo.VERSION


@tn.remote
class Demo:
    def version(self) -> str:
        import rt_demo  # pyright: ignore[reportMissingImports]

        return rt_demo.VERSION

    def pid(self) -> int:
        return os.getpid()

    def of_a_task(self) -> str:
        return tn.get(version.remote())


def reasons(home: Path) -> list[str]:
    """Why actors are not alive."""
    asked = [*find_cli(os.environ), "list", "actors", "--json", "--home", str(home)]
    done = subprocess.run(asked, capture_output=True, text=True, check=True)
    return [actor["reason"] for actor in json.loads(done.stdout) if actor["reason"]]


# ---- packages ----


def test_two_tasks_have_different_versions_at_once_and_the_program_has_none(base: Path) -> None:
    one, two = (version.options(runtime_env=packages(base, f"rt_demo=={wanted}")) for wanted in ("1.0", "2.0"))
    assert tn.get([one.remote(), two.remote(), one.remote()], timeout=60) == ["1.0", "2.0", "1.0"]
    with pytest.raises(ModuleNotFoundError):
        tn.get(version.remote(), timeout=30)


def test_an_environment_sees_what_the_program_has_and_is_activated(base: Path) -> None:
    @tn.remote(runtime_env=packages(base, "rt_demo==1.0"))
    def look() -> tuple[bool, str, list[str]]:
        import shutil

        import numpy

        # A program that it starts sees the same.
        source = "import rt_demo, numpy; print(rt_demo.VERSION, numpy.__version__)"
        other = subprocess.run(
            [sys.executable, "-c", source], capture_output=True, text=True, check=True
        ).stdout.split()
        return shutil.which("rt_demo") == f"{os.environ['VIRTUAL_ENV']}/bin/rt_demo", numpy.__version__, other

    import numpy

    assert tn.get(look.remote(), timeout=60) == (True, numpy.__version__, ["1.0", numpy.__version__])


def test_an_older_version_of_the_program_does_not_hide_that_of_an_environment(base: Path, cluster: ClusterInfo) -> None:
    installed = base / "old" / "site-packages"
    installed.mkdir(parents=True)
    with zipfile.ZipFile(wheel(base, "0.1")) as packed:
        packed.extractall(installed)
    source = f"""
import sys
sys.path.append({str(installed)!r})
import rt_demo, twinkle_node as tn
tn.init("auto")
@tn.remote
def version():
    import rt_demo
    return rt_demo.VERSION
print(rt_demo.VERSION, tn.get(version.remote()), tn.get(version.options(runtime_env={packages(base, "rt_demo==2.0")!r}).remote()))
"""
    assert end(program(source, cluster.home)) == "0.1 0.1 2.0\n"


def test_an_actor_that_is_started_again_has_the_same_environment_and_its_tasks_inherit_it(base: Path) -> None:
    actor = Demo.options(runtime_env=packages(base, "rt_demo==2.0"), max_restarts=1).remote()
    assert tn.get([actor.version.remote(), actor.of_a_task.remote()], timeout=60) == ["2.0", "2.0"]
    pid = tn.get(actor.pid.remote())
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not alive(pid))

    def again() -> Any:
        try:
            return tn.get(actor.version.remote(), timeout=10)
        except tn.ActorDiedError as error:
            return None if error.restarting else "dead"

    assert eventually(again) == "2.0"


def test_what_cannot_be_installed_is_an_error_of_its_own_and_is_tried_again(base: Path) -> None:
    given = packages(base, "rt_late==1.0")

    @tn.remote(runtime_env=given)
    def late() -> str:
        import rt_late  # pyright: ignore[reportMissingImports]

        return rt_late.VERSION

    with pytest.raises(tn.RuntimeEnvSetupError, match=r"rt_late==1.0.*pip install failed.*No matching distribution"):
        tn.get([late.remote() for _ in range(3)], timeout=60)
    actor = Demo.options(runtime_env=given, max_restarts=-1).remote()
    with pytest.raises(tn.RuntimeEnvSetupError, match=r"No matching distribution found for rt_late==1.0") as caught:
        tn.get(actor.pid.remote(), timeout=60)
    assert caught.value.code == "RUNTIME_ENV"
    wheel(base / "wheels", "1.0", "rt_late")
    assert tn.get(late.remote(), timeout=60) == "1.0"


def test_packages_that_our_workers_cannot_run_with_are_refused(base: Path) -> None:
    with zipfile.ZipFile(wheel(base / "wheels", "99.0", "cloudpickle"), "a") as packed:
        packed.writestr("cloudpickle/extra.py", "")
    with pytest.raises(tn.RuntimeEnvSetupError, match="workers cannot run with these packages"):
        tn.get(version.options(runtime_env=packages(base, "cloudpickle==99.0")).remote(), timeout=60)
    (base / "wheels" / "cloudpickle-99.0-py3-none-any.whl").unlink()


SLOW = """
import os, sys, time
open(os.environ["RT_STARTED"] + "." + str(os.getpid()), "w").close()
while not os.path.exists(os.environ["RT_GATE"]):
    time.sleep(0.02)
from setuptools import setup
setup(name="rt_slow", version="1.0", py_modules=["rt_slow"])
"""
"""A project whose build waits for a file."""


def slow_project(folder: Path) -> dict[str, Any]:
    folder.mkdir()
    (folder / "setup.py").write_text(SLOW)
    (folder / "rt_slow.py").write_text("VERSION = '1.0'\n")
    return {"pip": {"packages": [str(folder)], "pip_install_options": ["--no-build-isolation", "--no-index"]}}


PROGRAM = """
import os, sys
import twinkle_node as tn
tn.init("auto")
@tn.remote(runtime_env=eval(os.environ["RT_ENV"]))
def slow():
    import rt_slow
    return rt_slow.VERSION
@tn.remote(runtime_env=eval(os.environ["RT_ENV"]), num_cpus=0)
class Waits:
    def pid(self):
        return os.getpid()
@tn.remote
def quick():
    return "quick"
refs = [slow.remote() for _ in range(4)]
waits = Waits.remote()
print(tn.get(quick.remote()), flush=True)
sys.stdin.readline()
print(tn.get(refs), tn.get(waits.pid.remote()) > 0, flush=True)
"""


def test_a_head_killed_while_it_builds_leaves_nothing_that_counts_and_two_heads_build_once(
    tmp_path: Path, head: StartHead
) -> None:
    given = slow_project(tmp_path / "slow")
    started = tmp_path / "started"
    started.mkdir()
    env = {"TWINKLE_CACHE": str(tmp_path / "cache"), "RT_GATE": str(tmp_path / "gate")}
    envs = tmp_path / "cache" / "envs"

    def builds() -> list[int]:
        return [int(path.suffix[1:]) for path in started.iterdir()]

    first = head(tmp_path / "h1", RT_STARTED=str(started / "first"), **env)
    driver = program(PROGRAM, str(tmp_path / "h1"), RT_ENV=repr(given))
    assert said(driver) == "quick"  # others are not held up
    eventually(builds, "the build runs")
    assert eventually(lambda: reasons(tmp_path / "h1"))[0].startswith("its environment is being made: ")
    first.kill()
    first.wait()
    driver.kill()
    driver.communicate()
    assert not list(envs.glob("packages-*/twinkle-packages.json"))
    before = len(builds())
    both = [head(tmp_path / name, RT_STARTED=str(started / name), **env) for name in ("h1", "h2")]
    drivers = [program(PROGRAM, str(tmp_path / name), RT_ENV=repr(given)) for name in ("h1", "h2")]
    assert [said(one) for one in drivers] == ["quick", "quick"]
    eventually(lambda: len(builds()) > before, "one of them builds")
    (tmp_path / "gate").touch()
    for one in drivers:
        assert one.stdin is not None
        one.stdin.write("\n")
        one.stdin.flush()
    assert [end(one) for one in drivers] == ["['1.0', '1.0', '1.0', '1.0'] True\n"] * 2
    assert len({path.stem for path in started.iterdir()} - {"first"}) == 1
    for one in both:
        one.terminate()
        one.wait()
    assert [path.name for path in envs.iterdir()] == [path.name for path in envs.glob("packages-*") if path.is_dir()]
    eventually(lambda: not any(map(alive, builds())), "no build is left")


def test_a_stop_ends_a_build(tmp_path: Path, head: StartHead) -> None:
    given = slow_project(tmp_path / "slow")
    (tmp_path / "started").mkdir()
    env = {"RT_GATE": str(tmp_path / "gate"), "RT_STARTED": str(tmp_path / "started" / "b")}
    process = head(tmp_path / "h", TWINKLE_CACHE=str(tmp_path / "cache"), **env)
    driver = program(PROGRAM, str(tmp_path / "h"), RT_ENV=repr(given))
    assert said(driver) == "quick"
    build = int(eventually(lambda: list((tmp_path / "started").iterdir()))[0].suffix[1:])
    process.terminate()
    process.wait(timeout=15)
    driver.kill()
    driver.communicate()
    eventually(lambda: not alive(build))
    assert list((tmp_path / "cache" / "envs").iterdir()) == []
