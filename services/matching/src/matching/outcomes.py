"""What became of proposals, put together for the page and for machines: the same figures in both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matching.domain.precision import FIRST, GOOD, PARTS, Judged, Precision, grouped, of_the_first, part_of_the_list, precision

DEFINITION = (
    f"Of the places 1 to {FIRST} that somebody judged, the share with an introduction, an award, or interest that the other side "
    "has not declined. A match counts at the place that it had when somebody first spoke of it."
)


@dataclass(frozen=True, slots=True)
class Measured:
    """The first places in all and by technology and version of the points; all places by part of the list; why was declined."""

    first: Precision
    by_technology: Mapping[str, Precision]
    by_weights: Mapping[str, Precision]
    by_part: Mapping[str, Precision]
    reasons: Mapping[str, int]

    def as_json(self) -> dict[str, Any]:
        """Shares and intervals from 0 to 1; null where nothing was judged."""
        return {
            "definition": DEFINITION,
            "first": FIRST,
            "good": list(GOOD),
            "all": _figures(self.first),
            "by_technology": {name: _figures(one) for name, one in self.by_technology.items()},
            "by_weights": {name: _figures(one) for name, one in self.by_weights.items()},
            "by_part_of_the_list": {name: _figures(one) for name, one in self.by_part.items()},
            "decline_reasons": dict(self.reasons),
        }


def measured(judged: Sequence[Judged], reasons: Mapping[str, int]) -> Measured:
    """All figures from what was counted."""
    first, by_part = of_the_first(judged), grouped(judged, part_of_the_list)
    return Measured(
        precision(first),
        grouped(first, lambda one: one.technology),
        grouped(first, lambda one: one.weights),
        {part: one for part in PARTS if (one := by_part.get(part))},
        reasons,
    )


def _figures(one: Precision) -> dict[str, Any]:
    low, high = one.interval
    return {
        "judged": one.judged,
        "good": one.good,
        "outcomes": dict(one.outcomes),
        "share": one.share,
        "interval_95": [low, high] if one.judged else None,
    }
