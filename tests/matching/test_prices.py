"""What a quantity costs under tiers."""

from decimal import Decimal
from typing import Literal

import pytest

from matching.domain.prices import PriceAt, price_at, six_places
from matching.domain.sides import Prices


def tiers(basis: Literal["all_units", "incremental"], *steps: tuple[int, int]) -> Prices:
    return Prices("USD", basis, tuple(Decimal(q) for q, _ in steps), tuple(Decimal(p) for _, p in steps))


STEPS = ((100, 200), (1000, 180), (5000, 160))


@pytest.mark.parametrize(
    ("quantity", "unit_price", "tier"),
    [(100, 200, 1), (999, 200, 1), (1000, 180, 2), (4999, 180, 2), (5000, 160, 3), (90_000, 160, 3)],
)
def test_the_tier_reached_prices_every_unit(quantity: int, unit_price: int, tier: int) -> None:
    found = price_at(tiers("all_units", *STEPS), Decimal(quantity))
    assert found == PriceAt(Decimal(unit_price), Decimal(unit_price * quantity), tier)


def test_below_the_first_tier_there_is_no_price() -> None:
    assert price_at(tiers("all_units", *STEPS), Decimal(99)) is None
    assert price_at(tiers("incremental", *STEPS), Decimal(99)) is None


def test_incremental_tiers_price_their_own_units_and_the_average_is_true() -> None:
    # the first 1,000 at 200, the next 4,000 at 180, the last 1,000 at 160
    found = price_at(tiers("incremental", *STEPS), Decimal(6000))
    assert found == PriceAt(Decimal(180), Decimal(1_080_000), 3)


def test_an_average_that_does_not_end_is_carried_with_six_places() -> None:
    found = price_at(tiers("incremental", (1, 2), (2, 1)), Decimal(7))
    assert found is not None
    assert found.total == 9
    assert six_places(found.unit_price) == Decimal("1.285714")


def test_an_absurd_product_of_quantity_and_price_has_no_price() -> None:
    assert price_at(tiers("all_units", (1, 10**9)), Decimal(10**9)) is None
