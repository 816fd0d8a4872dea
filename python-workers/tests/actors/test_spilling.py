"""Objects for which memory has no room: on disk meanwhile, and back when they are read."""

from __future__ import annotations

import gc
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from actors_support import PACKAGE, end, eventually, program, said, status

import twinkle_node as tn
from twinkle_node.core.api import ClusterInfo
from twinkle_node.find_cli import find_cli

MB = 1 << 20
STORE = 32 * MB


@pytest.fixture(scope="module", autouse=True)
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterInfo]:
    """A head with a small store, which spills where the test looks."""
    chosen = tmp_path_factory.mktemp("spill")
    joined = tn.init("local", num_cpus=4, object_store_memory=STORE, object_spilling_directory=str(chosen))
    yield joined
    tn.shutdown()
    assert list(chosen.iterdir()) == []


@pytest.fixture(autouse=True)
def nothing_left(cluster: ClusterInfo) -> Iterator[None]:
    """Objects that a test has used are gone with it, and so are their files."""
    yield
    gc.collect()
    eventually(lambda: store(cluster)["objects"] == 0, "all objects are gone")
    assert store(cluster)["usedBytes"] == store(cluster)["spilledBytes"] == 0
    eventually(lambda: files(cluster) == [], "all files are gone")


def store(cluster: ClusterInfo) -> dict[str, Any]:
    return status(cluster.home)["work"]["store"]


def folder(cluster: ClusterInfo) -> Path:
    """Where its head spills: the home has a link to it."""
    (link,) = (Path(cluster.home) / "spill").iterdir()
    return link.resolve()


def files(cluster: ClusterInfo) -> list[Path]:
    return list(folder(cluster).iterdir())


def array(seed: int, size: int = 2 * MB) -> Any:
    return np.random.default_rng(seed).integers(0, 255, size, dtype=np.uint8)


@tn.remote
def total(value: Any) -> int:
    return int(np.sum(value, dtype=np.int64))


@tn.remote
def make(seed: int, size: int = 2 * MB) -> Any:
    return array(seed, size)


def test_ten_times_the_store_is_kept_and_read_back_in_any_order(cluster: ClusterInfo) -> None:
    count = 10 * STORE // (2 * MB)
    refs = [tn.put(array(seed)) for seed in range(count)]
    now = store(cluster)
    assert now["spilledObjects"] > count * 0.8
    assert now["spilledBytes"] > STORE * 8
    assert now["usedBytes"] <= STORE
    order = list(range(count))
    for _ in range(2):
        random.Random(7).shuffle(order)
        for at in order:
            assert np.array_equal(tn.get(refs[at]), array(at))
    written = store(cluster)["spillWrittenBytes"]
    assert written < 11 * STORE, "what was brought back is not written again"
    for at in order:
        assert tn.get(total.remote(refs[at])) == int(array(at).sum(dtype=np.int64))


def test_values_of_many_sizes_and_kinds_survive(cluster: ClusterInfo) -> None:
    chance = random.Random(3)
    values: list[Any] = [
        array(at, chance.randint(1000, 6 * MB)) if at % 3 else {"at": at, "text": "y" * chance.randint(10, 3 * MB)}
        for at in range(60)
    ]
    refs = [tn.put(value) for value in values]
    for at in chance.choices(range(60), k=150):
        got = tn.get(refs[at])
        assert np.array_equal(got, values[at]) if at % 3 else got == values[at]


def test_an_array_that_is_read_is_never_moved(cluster: ClusterInfo) -> None:
    held = [tn.get(tn.put(array(seed))) for seed in range(4)]
    places = [one.__array_interface__["data"][0] for one in held]
    refs = [tn.put(array(seed)) for seed in range(100, 150)]
    for seed, ref in enumerate(refs, start=100):
        assert np.array_equal(tn.get(ref), array(seed))
    for seed, one in enumerate(held):
        assert np.array_equal(one, array(seed))
        assert one.__array_interface__["data"][0] == places[seed]


def test_a_store_full_of_arrays_that_are_read_is_an_error_at_once_which_says_so() -> None:
    held = [tn.get(tn.put(array(seed, 7 * MB))) for seed in range(4)]
    with pytest.raises(tn.TwinkleError, match=r"28\.0 MiB are open to be read.*let go of what get") as caught:
        tn.put(array(9, 7 * MB))
    assert caught.value.code == "SHM_FULL"
    held.pop()
    ref = tn.put(array(9, 7 * MB))
    assert np.array_equal(tn.get(ref), array(9, 7 * MB))


def test_what_is_larger_than_the_store_is_refused_and_moves_nobody(cluster: ClusterInfo) -> None:
    ref = tn.put(array(1))
    before = store(cluster)["spillWrittenBytes"]
    with pytest.raises(tn.TwinkleError, match="larger than the object store"):
        tn.put(np.zeros(STORE + 1, dtype=np.uint8))
    assert store(cluster)["spillWrittenBytes"] == before
    assert np.array_equal(tn.get(ref), array(1))


def test_results_that_need_room_and_arguments_on_disk(cluster: ClusterInfo) -> None:
    made = [make.remote(seed) for seed in range(60)]
    sums = [total.remote(ref) for ref in made]
    expected = [int(array(seed).sum(dtype=np.int64)) for seed in range(60)]
    assert tn.get(sums) == expected
    assert store(cluster)["spilledObjects"] > 40
    assert [tn.get(total.remote(ref)) for ref in made] == expected


def test_several_write_at_once_with_room_for_few_of_them() -> None:
    made = [make.remote(seed, 9 * MB) for seed in range(16)]
    for seed, ref in enumerate(made):
        assert np.array_equal(tn.get(ref), array(seed, 9 * MB))


def test_one_object_on_disk_is_read_by_all_who_want_it_at_once() -> None:
    wanted = tn.put(array(1))
    others = [tn.put(array(seed)) for seed in range(2, 30)]
    assert tn.get([total.remote(wanted) for _ in range(8)]) == [int(array(1).sum(dtype=np.int64))] * 8
    seen: list[bool] = []
    again = [tn.put(array(seed)) for seed in range(30, 60)]
    threads = [threading.Thread(target=lambda: seen.append(np.array_equal(tn.get(wanted), array(1)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [True] * 4
    del others, again


def test_references_inside_of_values_are_spilled_and_found(cluster: ClusterInfo) -> None:
    @tn.remote
    def sums(refs: list[Any]) -> list[int]:
        tn.wait(refs, num_returns=len(refs))
        return [int(tn.get(ref).sum(dtype=np.int64)) for ref in refs]

    refs = [tn.put(array(seed)) for seed in range(40)]
    read = store(cluster)["spillReadBytes"]
    assert tn.wait(refs, num_returns=40, timeout=5)[1] == []
    assert store(cluster)["spillReadBytes"] == read, "waiting reads nothing"
    assert tn.get(sums.remote(refs)) == [int(array(seed).sum(dtype=np.int64)) for seed in range(40)]


def test_files_of_a_program_that_was_killed_go(cluster: ClusterInfo) -> None:
    source = """
import numpy as np, twinkle_node as tn
tn.init("auto")
refs = [tn.put(np.zeros(2 << 20, dtype=np.uint8)) for _ in range(40)]
print("put", flush=True)
input()
"""
    other = program(source, cluster.home)
    assert said(other) == "put"
    assert len(files(cluster)) > 20
    other.kill()
    other.wait()
    eventually(lambda: files(cluster) == [], "its files are gone")


def test_a_full_disk_is_an_error_for_who_needs_room_and_the_store_works_on(cluster: ClusterInfo) -> None:
    kept = [tn.put(array(seed, 3 * MB)) for seed in range(9)]
    block(cluster)
    for _ in range(2):
        with pytest.raises(tn.TwinkleError, match=r"ENOSPC.*make room on that disk") as caught:
            tn.put(array(50, 7 * MB))
        assert caught.value.code == "STORAGE_FAILED"
        assert str(folder(cluster)) in str(caught.value)
    with pytest.raises(tn.TwinkleError) as result:
        tn.get(make.remote(50, 7 * MB))
    assert result.value.code == "STORAGE_FAILED"
    in_memory = [row for row in listed(cluster) if row["where"] == "slab"]
    assert len(in_memory) == 9
    for seed, ref in enumerate(kept):
        assert np.array_equal(tn.get(ref), array(seed, 3 * MB))
    unblock(cluster)
    late = [make.remote(seed, 7 * MB) for seed in range(8)]
    for seed, ref in enumerate(late):
        assert np.array_equal(tn.get(ref), array(seed, 7 * MB))
    for seed, ref in enumerate(kept):
        assert np.array_equal(tn.get(ref), array(seed, 3 * MB))


def block(cluster: ClusterInfo) -> None:
    """The next files to be written are on a device that is full. Works as any user."""
    for at in range(2000):
        path = folder(cluster) / f"{at}.object"
        if not path.exists():
            path.symlink_to("/dev/full")


def unblock(cluster: ClusterInfo) -> None:
    for path in files(cluster):
        if path.is_symlink():
            path.unlink()


def listed(cluster: ClusterInfo) -> list[dict[str, Any]]:
    import json

    command = [*find_cli(os.environ), "list", "objects", "--json", "--home", cluster.home]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_status_and_list_show_what_is_on_disk(cluster: ClusterInfo) -> None:
    refs = [tn.put(array(seed)) for seed in range(30)]
    rows = {row["id"]: row for row in listed(cluster)}
    assert rows[refs[0].id]["where"] == "spilled"
    assert rows[refs[-1].id]["where"] == "slab"
    command = [*find_cli(os.environ), "status", "--home", cluster.home]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f"of 32.0 MiB, {2 * store(cluster)['spilledObjects']}.0 MiB in" in text
    assert "spilled to disk" in text


# ---- heads that end ----

PUT_MANY = """
import os, numpy as np, twinkle_node as tn
info = tn.init({address!r}, **{options!r})
refs = [tn.put(np.zeros(2 << 20, dtype=np.uint8)) for _ in range(30)]
print(info.home, flush=True)
input()
"""


@pytest.mark.parametrize("killed", ["program", "head", "nobody"])
def test_a_head_of_a_program_leaves_no_files(killed: str, tmp_path: Path) -> None:
    options = {"object_store_memory": 8 * MB, "object_spilling_directory": str(tmp_path / "spill")}
    source = PUT_MANY.format(address="local", options=options)
    driver = program(source, str(tmp_path / "home"))
    home = Path(said(driver))
    assert len(list((tmp_path / "spill").glob("*/*/*.object"))) > 20
    if killed == "program":
        driver.kill()
    elif killed == "head":
        os.kill(status(str(home))["pid"], signal.SIGKILL)
    if killed == "nobody":
        assert driver.stdin is not None
        driver.stdin.write("\n")
        end(driver)
    eventually(lambda: not home.exists() and list((tmp_path / "spill").iterdir()) == [], "all is gone")
    driver.kill()
    driver.wait()


@pytest.mark.parametrize("where", ["home", "elsewhere"])
def test_files_of_a_head_that_was_killed_are_gone_after_the_next_start(where: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    root = home / "spill" if where == "home" else tmp_path / "disk"
    flags = [] if where == "home" else ["--object-spill-dir", str(root)]
    head = [*find_cli(os.environ), "start", "--head", "--home", str(home), "--object-store-memory", "8MiB", *flags]
    subprocess.run(head, check=True, capture_output=True)
    driver = program(PUT_MANY.format(address="auto", options={}), str(home))
    said(driver)
    assert len(list(root.glob("*/*.object"))) > 20
    (made,) = root.iterdir()
    assert made.stat().st_mode & 0o777 == 0o700
    os.kill(status(str(home))["pid"], signal.SIGKILL)
    driver.kill()
    driver.wait()
    assert made.exists()
    subprocess.run(head, check=True, capture_output=True)
    assert not made.exists()
    subprocess.run([*find_cli(os.environ), "stop", "--all", "--home", str(home)], check=True, capture_output=True)
    assert [one for one in root.iterdir() if one.name != "logs"] == []
    assert list((home / "spill").iterdir()) == []


def test_a_tiny_disk_that_fills_is_an_error_and_what_fits_is_kept(tmp_path: Path) -> None:
    """A file system of its own, where this machine lets us mount one."""
    source = f"""
import numpy as np, twinkle_node as tn
tn.init("local", object_store_memory={16 * MB}, object_spilling_directory={str(tmp_path / "tiny")!r})
refs = []
try:
    while True:
        refs.append(tn.put(np.full(3 << 20, len(refs), dtype=np.uint8)))
except tn.TwinkleError as error:
    print(error.code, "ENOSPC" in str(error), flush=True)
print(len(refs), all((tn.get(ref) == at).all() for at, ref in enumerate(refs[-4:], start=len(refs) - 4)), flush=True)
kept = len(refs)
del refs[: kept // 2]
refs += [tn.put(np.full(3 << 20, at, dtype=np.uint8)) for at in range(kept, kept + 3)]
print(all((tn.get(ref) == at).all() for at, ref in enumerate(refs, start=kept // 2)), flush=True)
tn.shutdown()
"""
    (tmp_path / "tiny").mkdir()
    mount = f"mount -t tmpfs -o size={24 * MB} tmpfs {tmp_path / 'tiny'}"
    ways = (["unshare", "-m", "sh", "-c"], ["unshare", "-rm", "sh", "-c"])
    unshare = shutil.which("unshare")
    able = [way for way in ways if unshare and subprocess.run([*way, mount], capture_output=True).returncode == 0]
    if not able:
        pytest.skip("no file system can be mounted here")
    path = os.pathsep.join((str(PACKAGE), *filter(None, (os.environ.get("PYTHONPATH"),))))
    done = subprocess.run(
        [*able[0], f'{mount} && exec "$@"', "sh", sys.executable, "-c", source],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )
    lines = done.stdout.splitlines()
    assert lines[0] == "STORAGE_FAILED True", done.stderr
    assert lines[1:] == [lines[1].split()[0] + " True", "True"], done.stdout + done.stderr
    assert int(lines[1].split()[0]) in range(10, 14)


# ---- options ----


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"object_store_memory": 5}, "from 1048576"),
        ({"object_store_memory": True}, "True"),
        ({"object_store_memory": 2e6 + 0.5}, "2000000.5"),
        ({"object_spilling_directory": "/proc/nowhere"}, "object_spilling_directory"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], words: str) -> None:
    refused = f"""
import twinkle_node as tn
try:
    tn.init("local", **{options!r})
except tn.TwinkleError as error:
    print(error.code, error)
"""
    said_so = end(program(refused, "/nowhere"))
    assert said_so.startswith("CONFIG_INVALID")
    assert words in said_so


def test_options_of_an_own_head_are_refused_where_one_runs(cluster: ClusterInfo) -> None:
    refused = f"""
import twinkle_node as tn
for options in ({{"object_store_memory": {STORE}}}, {{"object_spilling_directory": "/tmp"}}):
    for address in ("auto", None):
        try:
            tn.init(address, **options)
        except tn.TwinkleError as error:
            print(error.code, list(options)[0] in str(error))
"""
    assert end(program(refused, cluster.home)).split("\n") == ["CONFIG_INVALID True"] * 4 + [""]
