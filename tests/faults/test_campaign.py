"""The promise under faults, as far as CI has time: one round with real Kafka, one in a single process with the embedded broker.

It goes on until so much has happened, not for so long; only a slow machine ends it before. `make faults` runs the long campaign.
"""

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import missing
from tests.faults.campaign import Goal, Round, fight
from tests.faults.house import Kind
from tests.faults.verdict import in_words
from tests.faults.workload import Rates
from tests.kafka_server import HOW_TO_ADD, NoKafka

SEED = int(os.environ.get("MUSUBI_FAULTS_SEED", "4"))
GOALS: dict[Kind, Goal] = {
    "real": Goal(seconds=90, at_most=220, events=16_000, faults=115, kills=34, broker_restarts=3),
    "embedded": Goal(seconds=50, at_most=130, events=4_000, faults=35, kills=6),
}
RATES: dict[Kind, Rates] = {
    "real": Rates(counter=300, cheap=30, dear=1.5),
    "embedded": Rates(counter=180, cheap=20, dear=1.5),
}
PACE: dict[Kind, float] = {"real": 0.4, "embedded": 0.6}
"""Below 1: more faults in a minute."""
PATIENCE = 60.0
ON_A_SLOW_MACHINE = 0.4
"""The share of the events aimed at that has to be there when the time is up; faults come by the clock, so of them all do."""


@pytest.fixture(scope="module")
def rounds() -> Iterator[dict[Kind, Round]]:
    """What the rounds came to, for the sums."""
    found: dict[Kind, Round] = {}
    yield found


@pytest.mark.parametrize("kind", ["embedded", pytest.param("real", marks=pytest.mark.kafka)])
async def test_nothing_is_lost_doubled_reordered_or_stuck_whatever_is_killed_cut_or_poisoned(
    kind: Kind, rounds: dict[Kind, Round], tmp_path: Path
) -> None:
    print(f"seed {SEED}; to choose another: MUSUBI_FAULTS_SEED")
    try:
        round_ = await fight(kind, SEED, GOALS[kind], tmp_path / kind, rates=RATES[kind], pace=PACE[kind], patience=PATIENCE)
    except NoKafka as reason:
        missing("kafka", str(reason), HOW_TO_ADD)
        raise
    rounds[kind] = round_
    print(round_)
    assert in_words(round_.anomalies) == "no anomaly", f"seed {SEED}; ledger and logs are in {round_.kept}"
    goal = GOALS[kind]
    assert round_.accepted >= goal.events * ON_A_SLOW_MACHINE
    assert sum(round_.faults.values()) >= goal.faults
    assert round_.killed >= goal.kills
    assert round_.broker_restarts >= goal.broker_restarts
    shutil.rmtree(round_.kept, ignore_errors=True)


@pytest.mark.kafka
def test_enough_happened_in_both_together(rounds: dict[Kind, Round]) -> None:
    if len(rounds) < len(GOALS):
        pytest.skip("needs both rounds")
    faults = sum((Counter(round_.faults) for round_ in rounds.values()), Counter[str]())
    assert sum(round_.accepted for round_ in rounds.values()) >= 20_000 * ON_A_SLOW_MACHINE
    assert faults.total() >= 150
    assert sum(round_.killed for round_ in rounds.values()) >= 40
    assert sum(round_.broker_restarts for round_ in rounds.values()) >= 3
