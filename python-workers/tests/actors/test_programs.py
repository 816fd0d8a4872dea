"""Programs that people write for Ray, from lessons about it: they run here with another import."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from actors_support import end, eventually, program

import twinkle_node as tn
from twinkle_node.core.api import ClusterInfo


@tn.remote
class Counter:
    def __init__(self) -> None:
        self.value = 0

    def increment(self) -> int:
        self.value += 1
        print(f"counter: {self.value}")
        return self.value

    def get_counter(self) -> int:
        return self.value


class Model:
    """Stands for an engine: it answers in words that name its devices."""

    def __init__(self) -> None:
        self.devices = os.environ["CUDA_VISIBLE_DEVICES"].split(",")

    def seen(self) -> tuple[list[str], list[int], dict[str, list[str]]]:
        return self.devices, tn.get_gpu_ids(), tn.get_runtime_context().get_accelerator_ids()

    def generate(self, prompts: list[str], temperature: float = 0.0) -> list[str]:
        return [f"{prompt}, at {temperature}, of {len(self.devices)}" for prompt in prompts]


ModelActor = tn.remote(num_gpus=2)(Model)


@tn.remote(num_cpus=1)
class Scheduler:
    def __init__(self, model: Any) -> None:
        self.batch = 2
        self.model = model

    def schedule(self, prompts: list[str]) -> list[list[str]]:
        refs = [self.model.generate.remote(prompts[at : at + self.batch]) for at in range(0, len(prompts), self.batch)]
        return tn.get(refs)


def test_a_counter_keeps_its_state_and_counts_ten_calls_in_their_order() -> None:
    counter = Counter.remote()
    refs = [counter.increment.remote() for _ in range(10)]
    assert tn.get(counter.get_counter.remote()) == 10
    assert tn.get(refs) == list(range(1, 11))


def test_what_an_actor_prints_is_in_the_log_of_its_worker(cluster: ClusterInfo) -> None:
    counter = Counter.remote()
    tn.get([counter.increment.remote() for _ in range(3)])
    logs = Path(cluster.home) / "logs"

    def printed() -> bool:
        return any("counter: 3\n" in log.read_text() for log in logs.glob("*/worker-*.log"))

    eventually(printed)


def test_a_task_takes_the_result_of_another_by_reference() -> None:
    @tn.remote
    def one() -> int:
        return 1

    @tn.remote
    def plus_one(value: int) -> int:
        return value + 1

    first = one.remote()
    assert tn.get(plus_one.remote(plus_one.remote(first))) == 3


@pytest.mark.usefixtures("everything_free")
def test_a_model_with_two_devices_sees_those_two_and_no_other() -> None:
    model = ModelActor.remote()
    devices, ids, by_resource = tn.get(model.seen.remote())
    assert len(set(devices)) == 2
    assert devices == [str(one) for one in ids] == by_resource["GPU"]
    assert tn.available_resources()["GPU"] == 4
    prompts = ["Hello, my name is", "The capital of France is"]
    assert tn.get(model.generate.remote(prompts, temperature=0.8)) == [f"{one}, at 0.8, of 2" for one in prompts]


@pytest.mark.usefixtures("everything_free")
def test_four_instances_answer_in_parallel_and_no_device_is_given_twice() -> None:
    models = [ModelActor.options(num_gpus=count).remote() for count in (1, 1, 2, 2)]
    given = [tn.get(model.seen.remote())[0] for model in models]
    assert [len(devices) for devices in given] == [1, 1, 2, 2]
    assert sorted(one for devices in given for one in devices) == [str(place) for place in range(6)]
    texts = [f"Text {at}" for at in range(4)]
    refs = [model.generate.remote([text]) for model, text in zip(models, texts, strict=True)]
    assert [answer[0].split(",")[0] for answer in tn.get(refs)] == texts


def test_a_scheduler_in_a_namespace_batches_for_a_second_program(cluster: ClusterInfo) -> None:
    model = tn.remote(num_gpus=1)(Model).remote()
    scheduler = Scheduler.options(name="scheduler", namespace="head").remote(model)
    tn.get(scheduler.schedule.remote([]))
    other = program(
        """
import twinkle_node as tn
tn.init(address="auto")
scheduler = tn.get_actor(name="scheduler", namespace="head")
for batch in tn.get(scheduler.schedule.remote([f"test{i}" for i in range(5)])):
    print(*batch, sep=" | ")
""",
        cluster.home,
    )
    assert end(other).splitlines() == [
        "test0, at 0.0, of 1 | test1, at 0.0, of 1",
        "test2, at 0.0, of 1 | test3, at 0.0, of 1",
        "test4, at 0.0, of 1",
    ]


def test_ranks_sum_their_gradients_through_put_and_get() -> None:
    @tn.remote
    class Rank:
        def __init__(self, rank: int) -> None:
            self.rank = rank

        def gradient(self) -> list[Any]:
            return [tn.put(np.full(50_000, float(self.rank + 1)))]

        def apply(self, boxes: list[list[Any]]) -> float:
            summed = sum(tn.get(box[0]) for box in boxes)
            return float(summed[0]), float(summed[-1])  # type: ignore[index, return-value]

    ranks = [Rank.remote(rank) for rank in range(4)]
    gradients = tn.get([rank.gradient.remote() for rank in ranks])
    assert tn.get([rank.apply.remote(gradients) for rank in ranks]) == [(10.0, 10.0)] * 4
