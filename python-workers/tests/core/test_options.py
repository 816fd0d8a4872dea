"""Options as users write them."""

from __future__ import annotations

from typing import Any

import pytest

from twinkle_node.core.options import ActorOptions, TaskOptions, changed, demand_of
from twinkle_node.core.scheduling import NodeAffinitySchedulingStrategy
from twinkle_node.errors import ConfigError


@pytest.mark.parametrize(
    ("options", "given", "said"),
    [
        (TaskOptions(), {"num_gpu": 1}, "did you mean `num_gpus`"),
        (TaskOptions(), {"max_restarts": 1}, "unknown option `max_restarts`"),
        (TaskOptions(), {"num_cpus": -1}, "a number ≥ 0 for `num_cpus` but received -1"),
        (TaskOptions(), {"num_cpus": True}, "`num_cpus`"),
        (TaskOptions(), {"num_cpus": float("nan")}, "`num_cpus`"),
        (TaskOptions(), {"memory": float("inf")}, "`memory`"),
        (TaskOptions(), {"resources": {"x": "1"}}, "`resources`"),
        (TaskOptions(), {"max_retries": None}, "whole number ≥ -1 for `max_retries` but received None"),
        (TaskOptions(), {"max_retries": -2}, "`max_retries`"),
        (TaskOptions(), {"retry_exceptions": 1}, "True or False"),
        (ActorOptions(), {"max_concurrency": 0}, "`max_concurrency`"),
        (ActorOptions(), {"name": ""}, "not empty"),
        (ActorOptions(), {"lifetime": "forever"}, "detached"),
        (ActorOptions(), {"concurrency_groups": {"io": 0}}, "`concurrency_groups`"),
    ],
)
def test_wrong_options_are_refused_with_what_to_write(options: Any, given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        changed(options, given)


def test_none_is_the_default_where_the_default_is_none() -> None:
    assert changed(ActorOptions(), {"name": None, "num_cpus": None, "max_concurrency": None}) == ActorOptions()


def test_demands_of_equal_options_are_equal_however_they_are_written() -> None:
    whole, fraction = changed(TaskOptions(), {"num_cpus": 2}), changed(TaskOptions(), {"num_cpus": 2.0})
    assert demand_of(whole, 1) == demand_of(fraction, 1)
    assert demand_of(TaskOptions(), 1).resources == {"CPU": 1.0}
    assert demand_of(ActorOptions(), 0).resources == {}
    assert all(type(amount) is float for amount in demand_of(whole, 1).resources.values())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"resources": {"GPU": 1}}, "use num_cpus, num_gpus or memory"),
        ({"scheduling_strategy": "PACK"}, "SPREAD"),
        ({"runtime_env": {"conda": ["x"]}}, "use pip"),
        ({"runtime_env": {"env_vars": ["x"]}}, "a mapping for `env_vars`"),
        ({"runtime_env": {"env_vars": {"A": 1}}}, "text for variable 'A'"),
    ],
)
def test_demands_that_cannot_be_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        demand_of(changed(TaskOptions(), given), 1)


def test_what_a_worker_needs() -> None:
    strategy = NodeAffinitySchedulingStrategy("a", True)
    given = {
        "num_gpus": 0.5,
        "accelerator_type": "H100",
        "resources": {"x": 2, "y": 0},
        "scheduling_strategy": strategy,
    }
    demand = demand_of(changed(TaskOptions(), given), 0)
    assert demand.resources == {"GPU": 0.5, "x": 2.0, "accelerator_type:H100": 0.001}
    assert (demand.strategy, demand.node, demand.soft) == ("node", "a", True)
