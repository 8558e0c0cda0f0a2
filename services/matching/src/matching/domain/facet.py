"""What a facet is: one aspect of a match, with the points it can earn and a sentence for each way it can turn out.

A facet is declared once. Its function is the only place where its points are computed; whatever is built for speed has to
agree with it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from matching.domain.circumstances import Circumstances
from matching.domain.sides import Need, Offering


class Reason(NamedTuple):
    """One way a facet can turn out: stable code, the points it earns (at most), and the sentence (see `domain.words`)."""

    code: str
    points: int
    en: str
    ja: str


class Earned(NamedTuple):
    """What a facet earned and why; `values` are the figures that its sentence names."""

    points: int
    reason: Reason
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Facet:
    """One aspect of a match. `earn` gives whole points, from 0 to `possible`, for every need and offering."""

    name: str
    label: dict[str, str]
    reasons: tuple[Reason, ...]
    earn: Callable[[Need, Offering, Circumstances], Earned]
    steps: tuple[tuple[int, ...], ...] = ()
    """What decides between the declared points, as numbers; part of the version of the points."""
    possible: int = field(init=False)
    """What the best of its reasons earns."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "possible", max(reason.points for reason in self.reasons))
