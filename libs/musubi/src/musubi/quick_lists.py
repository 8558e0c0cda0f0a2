"""The lists of many needs among many offerings, by the matching engine; the plain rules then say why.

Worth it from some million pairs on: the engine's kernels are compiled the first time they are used on a machine.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from matching.domain.circumstances import Circumstances, Rates
from matching.domain.gates import is_expired
from matching.domain.places import wide_field
from matching.domain.shortlist import LENGTH, Judged, judge
from matching.domain.sides import Need, Offering
from matching.engine.field import Field
from matching.engine.market import Market


class QuickLists:
    """All offerings by field ("lighting/lamp"), packed. Ids in files may be of any length: here their order stands for them."""

    def __init__(self, fields: Mapping[str, Sequence[Offering]]) -> None:
        ids = sorted({offering.id for offerings in fields.values() for offering in offerings})
        self._number = {id_: f"{number:012}" for number, id_ in enumerate(ids)}
        self._market = Market()
        self._rates: Rates | None = None
        self._known = {self._number[one.id]: one for offerings in fields.values() for one in offerings}
        self._fields = {name: self._field(name, offerings) for name, offerings in fields.items()}

    def _field(self, name: str, offerings: Sequence[Offering]) -> Field:
        group, _, unit = name.partition("/")
        field = Field(group, unit, self._market)
        field.load([replace(one, id=self._number[one.id]) for one in offerings], [])
        return field

    def of(self, asked: Iterable[tuple[Need, Circumstances]]) -> Iterator[list[Judged]]:
        """For each need in turn its exact ten best, the best first; none for a need that is closed or over."""
        for need, circumstances in asked:
            yield self._best(need, circumstances) if need.open and not is_expired(need, circumstances) else []

    def _best(self, need: Need, circumstances: Circumstances) -> list[Judged]:
        field = self._fields.get(wide_field(need))
        if field is None:
            return []
        if circumstances.rates is not self._rates:
            self._rates = circumstances.rates
            self._market.set(self._rates)
        listed = field.best(replace(need, id=""), circumstances.today).ranks[:LENGTH]
        judged = (judge(need, self._known[rank.offering_id], circumstances) for rank in listed)
        return [one for one in judged if one is not None]
