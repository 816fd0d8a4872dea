"""Programs over two boxes: each test once with its driver on the head's box, and once on the agent's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from actors_support import end, eventually, said
from boxes_support import Boxes, driven
from runtime_env_support import wheel

import twinkle_node as tn
from twinkle_node.util.scheduling_strategies import PlacementGroupSchedulingStrategy


@pytest.fixture(scope="module", autouse=True, params=["head", "agent"])
def cluster(request: pytest.FixtureRequest) -> Iterator[Boxes]:
    with driven(request.param) as two:
        yield two


def node() -> str:
    return tn.get_runtime_context().get_node_id()


@tn.remote
class Counter:
    def __init__(self) -> None:
        self.value = 0

    def increment(self) -> int:
        self.value += 1
        print(f"counter: {self.value}")
        return self.value

    def node(self) -> str:
        return node()

    def pid(self) -> int:
        return os.getpid()


class Model:
    """Stands for an engine: it answers in words that name its devices."""

    def devices(self) -> tuple[str, list[str], list[int]]:
        return node(), os.environ["CUDA_VISIBLE_DEVICES"].split(","), tn.get_gpu_ids()

    def generate(self, prompts: list[str]) -> list[str]:
        return [f"{prompt}, of {len(self.devices()[1])}" for prompt in prompts]


@tn.remote
def step(before: tuple[int, list[str]]) -> tuple[int, list[str]]:
    value, nodes = before
    return value + 1, [*nodes, node()]


def test_both_boxes_count_and_are_listed(cluster: Boxes) -> None:
    assert tn.cluster_resources()["GPU"] == 6
    assert sorted(one["NodeID"] for one in tn.nodes() if one["Alive"]) == cluster.alive()
    assert tn.get_runtime_context().get_node_id() == cluster.here.node


def test_a_counter_on_the_other_box_counts_for_drivers_on_both(cluster: Boxes) -> None:
    counter = Counter.options(name="shared", scheduling_strategy=cluster.far).remote()
    assert tn.get(counter.node.remote(), timeout=30) == cluster.there.node
    source = """
import twinkle_node as tn
tn.init("auto")
counter = tn.get_actor("shared")
print("here", flush=True)
input()
print(*tn.get([counter.increment.remote() for _ in range(300)]))
"""
    others = [box.program(source) for box in (cluster.head, cluster.agent)]
    for other in others:
        assert said(other) == "here"
    for other in others:
        assert other.stdin is not None
        other.stdin.write("\n")
        other.stdin.flush()
    own = tn.get([counter.increment.remote() for _ in range(300)], timeout=60)
    counted = [own]
    for other in others:
        (line,) = [line for line in end(other).splitlines() if "counter:" not in line]
        counted.append([int(one) for one in line.split()])
    assert all(one == sorted(one) for one in counted)
    assert sorted(number for one in counted for number in one) == list(range(1, 901))


def test_a_chain_of_tasks_by_reference_goes_to_and_fro(cluster: Boxes) -> None:
    value = tn.put((0, []))
    for at in range(6):
        strategy = cluster.far if at % 2 == 0 else cluster.near
        value = step.options(scheduling_strategy=strategy).remote(value)
    there, here = cluster.there.node, cluster.here.node
    assert tn.get(value, timeout=30) == (6, [there, here] * 3)


def test_tasks_are_spread_over_both(cluster: Boxes) -> None:
    @tn.remote(scheduling_strategy="SPREAD")
    def where(folder: str, at: int) -> str:
        Path(folder, str(at)).touch()
        while len(list(Path(folder).iterdir())) < 6:
            os.sched_yield()
        return node()

    folder = cluster.head.home / "met"
    folder.mkdir()
    nodes = tn.get([where.remote(str(folder), at) for at in range(6)], timeout=30)
    assert set(nodes) == {cluster.here.node, cluster.there.node}


def test_four_instances_over_both_boxes_have_devices_of_their_own(cluster: Boxes) -> None:
    models = [tn.remote(num_gpus=count)(Model).remote() for count in (1, 1, 2, 2)]
    seen = tn.get([model.devices.remote() for model in models], timeout=30)
    assert [len(devices) for _, devices, _ in seen] == [1, 1, 2, 2]
    assert all(devices == [str(one) for one in ids] for _, devices, ids in seen)
    given = sorted((where, one) for where, devices, _ in seen for one in devices)
    offered = [(cluster.head.node, 2), (cluster.agent.node, 4)]
    assert given == sorted((where, str(place)) for where, count in offered for place in range(count))
    refs = [model.generate.remote([f"Text {at}"]) for at, model in enumerate(models)]
    assert tn.get(refs, timeout=30) == [[f"Text {at}, of {count}"] for at, count in enumerate((1, 1, 2, 2))]
    assert "GPU" not in tn.available_resources()


def test_a_named_actor_of_a_namespace_is_found_on_the_other_box(cluster: Boxes) -> None:
    @tn.remote
    class Scheduler:
        def __init__(self, model: Any) -> None:
            self.model = model

        def schedule(self, prompts: list[str]) -> list[list[str]]:
            return tn.get([self.model.generate.remote(prompts[at : at + 2]) for at in range(0, len(prompts), 2)])

    model = tn.remote(num_gpus=1)(Model).options(scheduling_strategy=cluster.far).remote()
    scheduler = Scheduler.options(name="scheduler", namespace="head").remote(model)
    tn.get(scheduler.schedule.remote([]), timeout=30)
    other = cluster.there.program("""
import twinkle_node as tn
tn.init(address="auto")
scheduler = tn.get_actor(name="scheduler", namespace="head")
for batch in tn.get(scheduler.schedule.remote([f"test{i}" for i in range(3)])):
    print(*batch, sep=" | ")
""")
    assert end(other).splitlines() == ["test0, of 1 | test1, of 1", "test2, of 1"]


def test_a_name_that_is_taken_is_that_of_the_other_box(cluster: Boxes) -> None:
    options = {"name": "one", "get_if_exists": True, "scheduling_strategy": cluster.far}
    first, second = Counter.options(**options).remote(), Counter.options(**options).remote()
    assert tn.get([first.increment.remote(), second.increment.remote()], timeout=30) in ([1, 2], [2, 1])
    other = cluster.there.program("""
import twinkle_node as tn
tn.init("auto", log_to_driver=False)
@tn.remote
class Counter:
    def increment(self):
        return "another"
print(tn.get(Counter.options(name="one", get_if_exists=True).remote().increment.remote()))
""")
    assert end(other).strip() == "3"


def test_ranks_on_both_boxes_sum_their_gradients(cluster: Boxes) -> None:
    @tn.remote
    class Rank:
        def __init__(self, rank: int) -> None:
            self.rank = rank

        def gradient(self) -> list[Any]:
            return [tn.put(np.full(500_000, float(self.rank + 1)))]

        def apply(self, parts: list[list[Any]]) -> tuple[float, float]:
            summed = sum(tn.get([part[0] for part in parts]))
            return float(summed[0]), float(summed[-1])  # type: ignore[index]

    strategies = [cluster.far, cluster.near]
    ranks = [Rank.options(scheduling_strategy=strategies[at % 2]).remote(at) for at in range(4)]
    for _ in range(3):
        gradients = tn.get([rank.gradient.remote() for rank in ranks], timeout=30)
        assert tn.get([rank.apply.remote(gradients) for rank in ranks], timeout=30) == [(10.0, 10.0)] * 4


def test_a_group_that_is_spread_strictly_has_an_actor_in_each_bundle(cluster: Boxes) -> None:
    group = tn.placement_group([{"CPU": 1, "GPU": 1}, {"CPU": 1, "GPU": 2}], strategy="STRICT_SPREAD")
    assert group.wait(20)
    try:
        actors = [
            tn.remote(num_gpus=count)(Model)
            .options(num_cpus=1, scheduling_strategy=PlacementGroupSchedulingStrategy(group, index))
            .remote()
            for index, count in enumerate((1, 2))
        ]
        seen = tn.get([actor.devices.remote() for actor in actors], timeout=30)
        assert {where for where, _, _ in seen} == {cluster.here.node, cluster.there.node}
        assert [len(devices) for _, devices, _ in seen] == [1, 2]
    finally:
        tn.remove_placement_group(group)
    with pytest.raises(tn.ActorDiedError):
        tn.get([actor.devices.remote() for actor in actors], timeout=30)


def test_what_far_workers_print_appears_with_their_pid(cluster: Boxes, capsys: pytest.CaptureFixture[str]) -> None:
    counter = Counter.options(scheduling_strategy=cluster.far).remote()
    pid = tn.get([counter.pid.remote(), counter.increment.remote()], timeout=30)[0]
    printed = ""

    def there() -> bool:
        nonlocal printed
        printed += capsys.readouterr().out
        return f"(Counter pid={pid}) counter: 1\n" in printed

    eventually(there)


# ---- what they run with ----


def test_variables_folders_and_modules_come_to_the_other_box(cluster: Boxes, tmp_path: Path) -> None:
    project, package = tmp_path / "project", tmp_path / "far_package"
    (project / "data").mkdir(parents=True)
    (project / "far_code.py").write_text("NAME = 'project'\n")
    (project / "data" / "words.txt").write_text("some words")
    package.mkdir()
    (package / "__init__.py").write_text("NAME = 'package'\n")
    surroundings = {"working_dir": str(project), "py_modules": [str(package)], "env_vars": {"FAR": "yes"}}

    @tn.remote(runtime_env=surroundings)
    def around() -> tuple[str, str, str, str, str]:
        import far_code  # pyright: ignore[reportMissingImports]
        import far_package  # pyright: ignore[reportMissingImports]

        words = Path("data/words.txt").read_text()
        return far_code.NAME, far_package.NAME, words, os.environ["FAR"], os.getcwd()

    for strategy, box in ((cluster.far, cluster.there), (cluster.near, cluster.here)):
        task = around.options(scheduling_strategy=strategy)
        found = tn.get([task.remote() for _ in range(3)], timeout=60)
        assert {one[:4] for one in found} == {("project", "package", "some words", "yes")}
        assert all(one[4].startswith(f"{box.home}/code/") for one in found)


def test_packages_are_installed_on_the_other_box(cluster: Boxes, tmp_path: Path) -> None:
    wheel(tmp_path, "1.5", "far_demo")
    options = ["--no-index", "--find-links", str(tmp_path)]
    surroundings = {"pip": {"packages": ["far_demo"], "pip_install_options": options}}

    @tn.remote(runtime_env=surroundings)
    class Demo:
        def version(self) -> tuple[str, str]:
            import far_demo  # pyright: ignore[reportMissingImports]

            return far_demo.VERSION, far_demo.__file__

    version, file = tn.get(Demo.options(scheduling_strategy=cluster.far).remote().version.remote(), timeout=90)
    assert version == "1.5"
    assert file.startswith(f"{cluster.there.home}/cache/")

    @tn.remote(runtime_env={"pip": {"packages": ["far_nothing"], "pip_install_options": options}})
    def nothing() -> None: ...

    with pytest.raises(tn.RuntimeEnvSetupError, match="far_nothing"):
        tn.get(nothing.options(scheduling_strategy=cluster.far).remote(), timeout=90)
