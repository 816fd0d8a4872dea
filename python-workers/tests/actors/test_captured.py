"""Tasks and actors that are started in a placement group: in the group too, where that was asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from actors_support import eventually

import twinkle_node as tn
from twinkle_node import PlacementGroupSchedulingStrategy as InGroup
from twinkle_node.util.scheduling_strategies import PlacementGroupSchedulingStrategy

Seen = tuple[str | None, str]


@tn.remote(num_cpus=0)
def here() -> Seen:
    group = tn.get_current_placement_group()
    return None if group is None else group.id, os.environ.get("CUDA_VISIBLE_DEVICES", "")


@tn.remote
class Here:
    def here(self) -> Seen:
        return tn.get(here.options(num_gpus=1).remote(), timeout=10)

    def own(self) -> Seen:
        group = tn.get_current_placement_group()
        return None if group is None else group.id, os.environ.get("CUDA_VISIBLE_DEVICES", "")


@tn.remote(num_cpus=0)
def starts(how: str) -> Any:
    child = here.options(num_gpus=1)
    if how == "escapes":
        child = child.options(scheduling_strategy="DEFAULT")
    elif how == "escapes as Ray documents it":
        child = child.options(scheduling_strategy=InGroup(None))
    elif how == "actor":
        actor = Here.options(num_gpus=1).remote()
        return tn.get(actor.own.remote(), timeout=10)
    elif how == "grandchild":
        return tn.get(starts.remote("task"), timeout=10)
    elif how == "too large":
        child = here.options(num_gpus=3)
    return tn.get(child.remote(), timeout=10)


@pytest.fixture
def group(everything_free: None) -> Iterator[tn.PlacementGroup]:
    tn.get(here.options(num_gpus=1).remote())  # has device 0 until it is given back
    made = tn.placement_group([{"CPU": 1}, {"GPU": 2}])
    tn.get(made.ready(), timeout=10)
    yield made
    tn.remove_placement_group(made)
    eventually(
        lambda: made.id not in {one for one, facts in tn.placement_group_table().items() if facts["state"] != "REMOVED"}
    )


def devices_of(group: tn.PlacementGroup) -> set[str]:
    seen = {tn.get(here.options(num_gpus=2, scheduling_strategy=InGroup(group)).remote(), timeout=10)[1]}
    return set(seen.pop().split(","))


@pytest.mark.parametrize("how", ["task", "actor", "grandchild"])
def test_what_is_started_in_a_group_that_captures_runs_in_it(how: str, group: tn.PlacementGroup) -> None:
    inside = InGroup(group, placement_group_capture_child_tasks=True)
    where, device = tn.get(starts.options(scheduling_strategy=inside).remote(how), timeout=10)
    assert where == group.id
    assert device in devices_of(group)


@pytest.mark.parametrize("how", ["escapes", "escapes as Ray documents it"])
def test_a_strategy_of_its_own_escapes(how: str, group: tn.PlacementGroup) -> None:
    mine = devices_of(group)
    inside = InGroup(group, placement_group_capture_child_tasks=True)
    where, device = tn.get(starts.options(scheduling_strategy=inside).remote(how), timeout=10)
    assert where is None
    assert device not in mine


def test_without_capture_only_it_itself_is_in_the_group(group: tn.PlacementGroup) -> None:
    strategy = PlacementGroupSchedulingStrategy(group)
    assert tn.get(starts.options(scheduling_strategy=strategy).remote("task"), timeout=10)[0] is None
    assert tn.get(here.options(scheduling_strategy=strategy).remote(), timeout=10)[0] == group.id


def test_actors_capture_through_all_their_calls(group: tn.PlacementGroup) -> None:
    inside = InGroup(group, 0, placement_group_capture_child_tasks=True)
    actor = Here.options(num_cpus=1, scheduling_strategy=inside).remote()
    for _ in range(2):
        assert tn.get(actor.here.remote(), timeout=10)[0] == group.id
    assert tn.get(actor.own.remote(), timeout=10) == (group.id, "")
    tn.kill(actor)


def test_what_no_bundle_could_hold_is_an_error_there_too(group: tn.PlacementGroup) -> None:
    inside = InGroup(group, placement_group_capture_child_tasks=True)
    with pytest.raises(tn.TwinkleError, match="no bundle that could hold"):
        tn.get(starts.options(scheduling_strategy=inside).remote("too large"), timeout=10)


def test_a_worker_of_a_group_is_not_used_outside_of_it(group: tn.PlacementGroup) -> None:
    inside = InGroup(group, placement_group_capture_child_tasks=True)
    assert tn.get(here.options(scheduling_strategy=inside).remote(), timeout=10)[0] == group.id
    assert tn.get([here.remote() for _ in range(10)], timeout=10) == [(None, "")] * 10
    assert tn.get_current_placement_group() is None


def test_the_group_of_a_task_says_what_it_has(group: tn.PlacementGroup) -> None:
    @tn.remote(num_cpus=0)
    def sees() -> Any:
        current = tn.get_current_placement_group()
        context = tn.get_runtime_context()
        assert current is not None
        return (
            current.bundle_specs,
            context.get_placement_group_id(),
            context.should_capture_child_tasks_in_placement_group,
        )

    for capture in (True, False):
        inside = InGroup(group, placement_group_capture_child_tasks=capture)
        seen = tn.get(sees.options(scheduling_strategy=inside).remote(), timeout=10)
        assert seen == ([{"CPU": 1}, {"GPU": 2}], group.id, capture)
