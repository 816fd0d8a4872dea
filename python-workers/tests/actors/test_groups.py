"""Actors and tasks in placement groups, as Ray's documents say it."""

from __future__ import annotations

import os
import signal

import pytest
from actors_support import eventually, program, said

import twinkle_node as tn
from twinkle_node import PlacementGroupSchedulingStrategy as InGroup
from twinkle_node.core.api import ClusterInfo


@tn.remote
class Sees:
    def devices(self) -> tuple[str, list[int]]:
        return os.environ.get("CUDA_VISIBLE_DEVICES", ""), tn.get_gpu_ids()

    def pid(self) -> int:
        return os.getpid()


@tn.remote
def devices() -> str:
    return os.environ.get("CUDA_VISIBLE_DEVICES", "")


def free_gpus() -> float:
    return tn.available_resources().get("GPU", 0)


def test_actors_share_the_devices_of_their_bundles() -> None:
    group = tn.placement_group([{"GPU": 1}, {"GPU": 2}], strategy="PACK")
    assert tn.get(group.ready(), timeout=10) == group
    inside = [Sees.options(num_gpus=1, scheduling_strategy=InGroup(group, index)).remote() for index in (0, 1, -1)]
    seen = tn.get([actor.devices.remote() for actor in inside])
    assert sorted(one for one, _ in seen) == ["0", "1", "2"]
    assert [ids for _, ids in seen] == [[int(one)] for one, _ in seen]
    assert seen[0][0] == "0"
    tn.remove_placement_group(group)
    eventually(lambda: free_gpus() == 6)


def test_one_that_finds_no_room_in_its_bundle_waits_for_it() -> None:
    group = tn.placement_group([{"GPU": 1}])
    first = Sees.options(num_gpus=1, scheduling_strategy=InGroup(group)).remote()
    assert tn.get(first.devices.remote())[0] == "0"
    second = Sees.options(num_gpus=1, scheduling_strategy=InGroup(group, 0)).remote()
    waits = second.devices.remote()
    assert tn.wait([waits], timeout=0.2)[0] == []
    tn.kill(first)
    assert tn.get(waits, timeout=10)[0] == "0"
    tn.remove_placement_group(group)


def test_tasks_run_in_a_group_that_is_not_there_yet() -> None:
    others = [Sees.options(num_gpus=1).remote() for _ in range(6)]
    tn.get([actor.pid.remote() for actor in others])
    group = tn.placement_group([{"GPU": 1, "CPU": 1}])
    inside = devices.options(num_gpus=1, scheduling_strategy=InGroup(group)).remote()
    assert not group.wait(0.2)
    assert tn.wait([inside], timeout=0)[0] == []
    tn.kill(others[3])
    assert tn.get(inside, timeout=10) == "3"
    tn.remove_placement_group(group)


def test_what_is_in_a_group_ends_with_it() -> None:
    group = tn.placement_group([{"CPU": 1}])
    actor = Sees.options(max_restarts=-1, scheduling_strategy=InGroup(group)).remote()
    assert tn.get(actor.pid.remote()) > 0
    tn.remove_placement_group(group)
    with pytest.raises(tn.ActorDiedError):
        tn.get(actor.pid.remote(), timeout=10)


def test_an_actor_comes_back_in_its_place() -> None:
    group = tn.placement_group([{"GPU": 1}])
    actor = Sees.options(num_gpus=1, max_restarts=1, max_task_retries=1, scheduling_strategy=InGroup(group)).remote()
    before = tn.get(actor.devices.remote())
    os.kill(tn.get(actor.pid.remote()), signal.SIGKILL)
    assert tn.get(actor.devices.remote(), timeout=10) == before
    tn.remove_placement_group(group)


def test_what_no_bundle_could_hold_is_refused() -> None:
    group = tn.placement_group([{"GPU": 1}])
    with pytest.raises(tn.TwinkleError, match="no bundle that could hold"):
        tn.get(devices.options(num_gpus=2, scheduling_strategy=InGroup(group)).remote(), timeout=10)
    with pytest.raises(tn.ConfigError, match="0 to 0"):
        devices.options(scheduling_strategy=InGroup(group, 1))
    tn.remove_placement_group(group)
    with pytest.raises(tn.TwinkleError) as caught:
        tn.get(devices.options(scheduling_strategy=InGroup(group)).remote(), timeout=10)
    assert caught.value.code == "GROUP_NOT_FOUND"


def test_wrong_groups_are_refused() -> None:
    with pytest.raises(tn.ConfigError, match="PACK, SPREAD"):
        tn.placement_group([{"CPU": 1}], strategy="CLOSE")
    with pytest.raises(tn.ConfigError):
        tn.placement_group([])
    with pytest.raises(tn.ConfigError):
        tn.placement_group([{"CPU": -1}])


def test_a_named_group_goes_with_its_maker_unless_it_is_detached(cluster: ClusterInfo) -> None:
    maker = program(
        """
import twinkle_node as tn
tn.init("auto", namespace="default")
mine = tn.placement_group([{"CPU": 1}], name="mine")
kept = tn.placement_group([{"CPU": 1}], name="kept", lifetime="detached")
tn.get([mine.ready(), kept.ready()])
print("made", flush=True)
import time; time.sleep(600)
""",
        cluster.home,
    )
    assert said(maker).strip() == "made"
    assert tn.get_placement_group("mine").bundle_specs == [{"CPU": 1}]
    maker.kill()
    maker.wait()

    def gone() -> bool:
        try:
            tn.get_placement_group("mine")
        except tn.TwinkleError as error:
            return error.code == "GROUP_NOT_FOUND"
        return False

    eventually(gone)
    kept = tn.get_placement_group("kept")
    assert tn.placement_group_table()[kept.id]["state"] == "CREATED"
    tn.remove_placement_group(kept)
