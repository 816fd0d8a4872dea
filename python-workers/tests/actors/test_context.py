"""What the code of a task or an actor is told about where it runs, and names that programs for Ray use."""

from __future__ import annotations

import os
import signal
import typing
from typing import Any

import pytest
from actors_support import eventually

import twinkle_node as tn
from twinkle_node.core.api import ClusterInfo


def told() -> dict[str, Any]:
    context = tn.get_runtime_context()
    return {
        "job": context.get_job_id(),
        "task": context.get_task_id(),
        "actor": context.get_actor_id(),
        "node": context.get_node_id(),
        "namespace": context.get_namespace(),
        "resources": context.get_assigned_resources(),
        "devices": context.get_accelerator_ids(),
        "again": context.was_current_actor_reconstructed,
    }


@tn.remote
class Tells:
    def tell(self) -> dict[str, Any]:
        return told()

    async def tell_later(self) -> dict[str, Any]:
        return told()

    def me(self) -> Any:
        return tn.get_runtime_context().current_actor

    def pid(self) -> int:
        return os.getpid()


@tn.remote
class TellsInOrder:
    def __init__(self) -> None:
        self.kept: dict[str, int] = {}

    def keep(self, at: int) -> None:
        self.kept["at"] = at

    def get(self) -> int:
        return self.kept["at"]

    def me(self) -> Any:
        return tn.get_runtime_context().current_actor


def test_of_a_program_itself(cluster: ClusterInfo) -> None:
    seen = told()
    assert seen == {
        "job": seen["job"],
        "task": None,
        "actor": None,
        "node": cluster.node_id,
        "namespace": "default",
        "resources": {},
        "devices": {},
        "again": False,
    }
    with pytest.raises(tn.TwinkleError, match="code of an actor"):
        _ = tn.get_runtime_context().current_actor


def test_of_a_task(cluster: ClusterInfo) -> None:
    ref = tn.remote(num_cpus=2, num_gpus=1, memory=1024)(told).remote()
    seen = tn.get(ref)
    assert seen["job"] == tn.get_runtime_context().get_job_id()
    assert (seen["task"], seen["actor"], seen["node"]) == (ref.id, None, cluster.node_id)
    assert seen["resources"] == {"CPU": 2, "GPU": 1, "memory": 1024}
    assert list(seen["devices"]) == ["GPU"]
    assert tn.get(tn.remote(told).remote())["resources"] == {"CPU": 1}


def test_of_an_actor_and_its_calls() -> None:
    actor = Tells.options(max_restarts=1, num_cpus=1).remote()
    refs = [actor.tell.remote(), actor.tell_later.remote()]
    seen = tn.get(refs)
    assert [one["task"] for one in seen] == [ref.id for ref in refs]
    assert {one["actor"] for one in seen} == {actor._actor_id}
    assert seen[0]["resources"] == {"CPU": 1}
    assert not seen[0]["again"]
    pid = tn.get(actor.pid.remote())
    os.kill(pid, signal.SIGKILL)

    def again() -> bool:
        try:
            return tn.get(actor.tell.remote(), timeout=10)["again"]
        except tn.ActorDiedError:
            return False

    eventually(again)


def test_a_task_in_a_task_is_of_the_same_job() -> None:
    @tn.remote(num_cpus=0)
    def outer() -> tuple[Any, Any]:
        return told(), tn.get(tn.remote(told).remote())

    mine, inner = tn.get(outer.remote(), timeout=10)
    assert mine["job"] == inner["job"] == tn.get_runtime_context().get_job_id()
    assert mine["task"] != inner["task"]


def test_an_actor_gives_a_handle_of_itself() -> None:
    actor = TellsInOrder.remote()
    me = tn.get(actor.me.remote())
    assert me == actor
    assert me._card == actor._card
    for at in range(50):
        me.keep.remote(at)
    assert tn.get(me.get.remote()) == 49
    assert tn.get(tn.get(Tells.remote().me.remote()).tell.remote())["actor"] is not None


def test_names_where_programs_for_ray_look_for_them() -> None:
    def annotated(handle: tn.actor.ActorHandle, ref: tn.ObjectRef[int]) -> tn.ObjectRef[list[int]]:
        return tn.put([1])

    assert annotated.__annotations__ != {}
    assert typing.get_origin(tn.ObjectRef[int]) is tn.ObjectRef
    assert tn.actor.ActorHandle is tn.ActorHandle
    assert tn.actor.exit_actor is tn.exit_actor
    assert isinstance(Tells.remote(), tn.actor.ActorHandle)
    assert tn.util.get_current_placement_group is tn.get_current_placement_group
    assert tn.is_initialized()
    with pytest.raises(AttributeError):
        _ = tn.nothing_of_that_name
