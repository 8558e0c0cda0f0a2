"""A simulation that finds nothing proves nothing: each of these planted bugs is found by it, within so many examples.

The examples are the same in every run (no seed is drawn), and nothing is made smaller once a bug is found.
"""

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.common.planted_in_simulation import PLANTED
from tests.common.simulated_group import SimulatedGroup
from tests.common.simulated_source import SimulatedSource
from tests.common.simulated_world import SimulatedWorld
from tests.common.test_simulation import STEPS, Machine

WITHIN = 500
"""Examples; most are found within a dozen."""

SETTINGS = settings(
    max_examples=WITHIN,
    stateful_step_count=STEPS,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow],
)


@pytest.mark.parametrize("bug", PLANTED, ids=lambda bug: bug.__name__)
def test_the_simulation_finds(bug: type[SimulatedGroup] | type[SimulatedSource]) -> None:
    class World(SimulatedWorld):
        source_type = bug if issubclass(bug, SimulatedSource) else SimulatedSource
        group_type = bug if issubclass(bug, SimulatedGroup) else SimulatedGroup

    class Buggy(Machine):
        world_type = World

    with pytest.raises(AssertionError):
        run_state_machine_as_test(Buggy, settings=SETTINGS)
