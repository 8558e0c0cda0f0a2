"""Where the lines, bands and dots of our charts lie: plain geometry, drawn by `pages/parts.html` as inline SVG.

Positions are percentages or the units of the picture's own `viewBox`; the words on a chart are the page's.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

# Price steps -------------------------------------------------------------------------------------------------------

STEPS_TOP, STEPS_BOTTOM, STEPS_AXIS = 34, 124, 156
ROOM_OF_A_FIGURE = 14.0
"""In percent of the chart's width: what a figure such as 20,000 needs on a phone of 320 px."""


@dataclass(frozen=True, slots=True)
class Step:
    """One tier: from `left` to `right` (percent) at height `y` (px). The labels are left out where they would run together."""

    quantity: Decimal
    unit_price: Decimal
    left: float
    right: float
    y: float
    label_price: bool
    label_quantity: bool


@dataclass(frozen=True, slots=True)
class PriceSteps:
    """Unit price over the logarithm of quantity, from `start` on.

    `mark_*` is the place of the quantity in question, `reached` its tier from 1 on, `to_next` what it lacks to the next.
    """

    start: Decimal
    steps: tuple[Step, ...]
    mark_x: float | None
    mark_y: float | None
    reached: int
    to_next: Decimal | None


def price_steps(tiers: Sequence[tuple[Decimal, Decimal]], quantity: Decimal | None = None) -> PriceSteps:
    """The chart of these tiers (quantity from which, unit price), ascending. Below the first tier nothing is reached (0)."""
    if not tiers:
        raise ValueError("a price chart needs at least one tier")
    start, last = _start(tiers, quantity), tiers[-1][0]
    low, high = float(start), float(max(last * Decimal("1.5"), start * 2, (quantity or start) * Decimal("1.1")))
    highest, lowest = max(price for _, price in tiers), min(price for _, price in tiers)

    def x(at: Decimal) -> float:
        return round(max(100 * math.log(float(at) / low) / math.log(high / low), 0.0), 2)

    def y(price: Decimal) -> float:
        spread = float(highest - lowest)
        down = float(highest - price) / spread if spread else 0.0
        return round(STEPS_TOP + (STEPS_BOTTOM - STEPS_TOP) * down, 1)

    reached = sum(1 for at, _ in tiers if quantity is not None and quantity >= at)
    lefts = [x(at) for at, _ in tiers]
    quantities = _with_room(lefts)
    prices = _with_room(lefts, must=reached - 1)
    steps = tuple(
        Step(at, price, left, right, y(price), n in prices, n in quantities)
        for n, ((at, price), left, right) in enumerate(zip(tiers, lefts, [*lefts[1:], 100.0], strict=True))
    )
    mark = steps[reached - 1] if reached and quantity is not None else None
    following = tiers[reached][0] if quantity is not None and reached < len(tiers) else None
    return PriceSteps(
        start,
        steps,
        x(quantity) if mark and quantity else None,
        mark.y if mark else None,
        reached,
        following - quantity if following is not None and quantity is not None else None,
    )


def _start(tiers: Sequence[tuple[Decimal, Decimal]], quantity: Decimal | None) -> Decimal:
    """Where the axis begins: at the first tier, or later where that is decades away from all that happens."""
    first = tiers[0][0]
    happens = [at for at, _ in tiers[1:]] + ([quantity] if quantity is not None and quantity >= first else [])
    if not happens:
        return first
    decade = Decimal(10) ** (min(happens) / 5).adjusted()
    return max(first, decade)


def _with_room(lefts: Sequence[float], must: int = -1) -> set[int]:
    """Which of these places can carry a figure; `must` comes first, then the last, then from the left."""
    shown: set[int] = set()
    for n in [*([must] if must >= 0 else []), len(lefts) - 1, *range(len(lefts))]:
        if all(n == other or abs(lefts[n] - lefts[other]) >= ROOM_OF_A_FIGURE for other in shown):
            shown.add(n)
    return shown


# Flow ---------------------------------------------------------------------------------------------------------------

FLOW_HEIGHT, FLOW_POST, FLOW_COLUMN = 128, 6, 102


@dataclass(frozen=True, slots=True)
class FlowStage:
    """One post of the flow picture: its height, how much of it goes on, and how much stays."""

    x: int
    height: float
    onward: float
    stays: float


def flow_stages(counts: Sequence[int]) -> list[FlowStage]:
    """The posts of a flow whose first count fills the height; a count above an earlier one is drawn as high as that."""
    whole = max(counts[0], 1) if counts else 1
    heights: list[float] = []
    for count in counts:
        height = FLOW_HEIGHT * count / whole
        heights.append(round(min(height, heights[-1] if heights else FLOW_HEIGHT), 1))
    following = [*heights[1:], None]
    return [
        FlowStage(n * FLOW_COLUMN, height, after or 0.0, 0.0 if after is None else round(height - after, 1))
        for n, (height, after) in enumerate(zip(heights, following, strict=True))
    ]


# Map ----------------------------------------------------------------------------------------------------------------

MAP_LEFT, MAP_TOP, MAP_WIDTH, MAP_HEIGHT = 0, 24, 653, 504
WEST, NORTH = 62.0, 54.0
PER_DEGREE_NORTH = 8.0
PER_DEGREE_EAST = PER_DEGREE_NORTH * math.cos(math.radians(22))
"""The land outline `pages/land.svg` is equirectangular, true at 22 degrees of latitude: x = 7.4175 (longitude - 62),
y = 8 (54 - latitude). Fitted to known cities of the picture that the outline was drawn for; all within 0.5 units."""

SMALL_TEXT, LARGE_TEXT = 12.5, 20.0
MOST_LABELS, MOST_LARGE_LABELS = 24, 9


@dataclass(frozen=True, slots=True)
class City:
    """What the map shows of a city; the area of its dot is `count`."""

    name: str
    latitude: float
    longitude: float
    count: int


@dataclass(frozen=True, slots=True)
class Label:
    """Where a city's name stands. `minor` ones are left out on a phone, where letters are larger."""

    text: str
    x: float
    y: float
    anchor: str
    minor: bool


@dataclass(frozen=True, slots=True)
class Dot:
    """A city's dot; a city without anything open is an empty ring."""

    x: float
    y: float
    radius: float
    empty: bool


@dataclass(frozen=True, slots=True)
class CityMap:
    """The dots and names that have room, and how many cities lie outside of the picture."""

    dots: tuple[Dot, ...]
    labels: tuple[Label, ...]
    outside: int


Box = tuple[float, float, float, float]


def city_map(cities: Sequence[City]) -> CityMap:
    """Places cities on the land. The largest are named first; a name that would cover another or a dot is left out."""
    inside = [
        (city, dot) for city in sorted(cities, key=lambda city: (-city.count, city.name)) if (dot := _dot(city)) is not None
    ]
    taken = [_around(dot) for _, dot in inside]
    labels: list[Label] = []
    for minor, size, most in ((False, LARGE_TEXT, MOST_LARGE_LABELS), (True, SMALL_TEXT, MOST_LABELS)):
        for city, dot in inside:
            if len(labels) >= most or any(label.text == city.name for label in labels):
                continue
            found = _label(city, dot, size, minor, taken)
            if found:
                labels.append(found[0])
                taken.append(found[1])
    return CityMap(tuple(dot for _, dot in inside), tuple(labels), len(cities) - len(inside))


def _dot(city: City) -> Dot | None:
    x, y = PER_DEGREE_EAST * (city.longitude - WEST), PER_DEGREE_NORTH * (NORTH - city.latitude)
    if not (MAP_LEFT <= x <= MAP_LEFT + MAP_WIDTH and MAP_TOP <= y <= MAP_TOP + MAP_HEIGHT):
        return None
    radius = 3.0 * math.sqrt(city.count) if city.count else 4.0
    return Dot(round(x, 1), round(y, 1), round(min(max(radius, 3.8), 16), 1), city.count == 0)


def _around(dot: Dot) -> Box:
    return (dot.x - dot.radius, dot.y - dot.radius, dot.x + dot.radius, dot.y + dot.radius)


def _label(city: City, dot: Dot, size: float, minor: bool, taken: Sequence[Box]) -> tuple[Label, Box] | None:
    width = sum(size if ord(letter) > 0x2E7F else size * 0.58 for letter in city.name)
    gap = dot.radius + 3
    for anchor, x, left in (("start", dot.x + gap, dot.x + gap), ("end", dot.x - gap, dot.x - gap - width)):
        box = (left, dot.y - size * 0.6, left + width, dot.y + size * 0.6)
        on_map = box[0] >= MAP_LEFT and box[2] <= MAP_LEFT + MAP_WIDTH
        if on_map and not any(_overlap(box, other) for other in taken):
            return Label(city.name, round(x, 1), round(dot.y + size * 0.36, 1), anchor, minor), box
    return None


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
