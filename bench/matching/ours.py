"""Our engine in the comparison: the fields of `matching.engine`, filled from the benchmark's records.

Records become packed columns directly, many at once; a test compares them with what the engine makes of the objects.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from bench.matching.engines import Entered, Found, Lists, Numbers, asked
from bench.matching.records import HIGHEST, LOWEST, MONEY, NOT_STATED, QUANTITY, TEXT, VALUE, Market, Records, identifier
from common.vocabulary import technologies
from matching.engine.field import Field
from matching.engine.layout import ASKS, ID_WORDS, LOOSE, NEED, NEED_COLUMNS, OFFERING, OFFERING_COLUMNS, TIERS, N, O, words_of
from matching.engine.lexicon import Slot
from matching.engine.market import Market as Rates
from matching.engine.packing import PackedNeeds, PackedOfferings

LISTED = 10


class Fields:
    """The engine's fields of a market, by the number that records have for them."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self.rates = Rates()
        self.rates.set(market.lexicon.rates)
        self._currency = np.array([self.rates.currencies.number(one) for one in market.lexicon.currencies])
        self.fields = [self._field(name) for name in market.lexicon.fields]

    def _field(self, name: str) -> Field:
        group, unit = name.split("/", 1)
        field = Field(group, unit, self.rates)
        lexicon = self.market.lexicon
        for places, known in (
            (field.lexicon.countries, lexicon.countries),
            (field.lexicon.standards, [one.casefold() for one in lexicon.standards]),
            (field.lexicon.languages, lexicon.languages),
            (field.lexicon.texts, lexicon.texts),
        ):
            places.bits(known)
        self._give_slots(field)
        return field

    def _give_slots(self, field: Field) -> None:
        """First to what needs ask for, as the engine does when it loads."""
        needs = self.market.needs
        mine = needs[needs["field"] == self.market.lexicon.fields.index(f"{field.lexicon.group}/{field.lexicon.unit}")]
        for at in np.unique(mine["attribute"][mine["attribute"] >= 0]).tolist():
            asked = mine["attribute"] == at
            values = np.concatenate([mine["low"][asked], mine["wanted"][asked].ravel()])
            for is_text in np.unique(values[values > 1] >= TEXT).tolist():
                field.lexicon.slots.number(Slot(*self._key(at), is_text))

    # From records to packed columns ------------------------------------------------------------------------------------

    def packed_offerings(self, field: int, records: Records) -> PackedOfferings:
        """Offerings of this field, all that can be said of them in columns."""
        hot = np.zeros((OFFERING_COLUMNS, len(records)), np.uint64)
        cold = np.zeros(len(records), OFFERING)
        bit = self._technology_bits(field)
        for at in range(records["technologies"].shape[1]):
            code = records["technologies"][:, at]
            hot[O.TECHNOLOGIES] |= np.where(code >= 0, bit[code], np.uint64(0))
        hot[O.SERVED] = records["serves"]
        hot[O.REACHED] = records["serves"] | records["interested_in"]
        hot[O.STANDARDS], hot[O.LANGUAGES] = records["standards"], records["languages"]
        hot[O.LEAD_TIME] = records["lead_time"].astype(np.int64).view(np.uint64)
        cold["id"] = _words(records["id"])
        for name in ("minimum", "maximum"):
            cold[name] = np.where(records[name] == NOT_STATED, np.nan, records[name] / QUANTITY)
        tiers = records["tier_quantity"].shape[1]
        cold["from_quantity"] = np.inf
        there = np.arange(tiers) < records["tiers"][:, None]
        cold["from_quantity"][:, :tiers] = np.where(there, records["tier_quantity"] / QUANTITY, np.inf)
        cold["unit_price"][:, :tiers] = np.where(there, records["tier_price"] / MONEY, 0)
        cold["tiers"], cold["incremental"] = records["tiers"], records["incremental"]
        cold["currency"] = np.where(records["currency"] >= 0, self._currency[records["currency"]], 0)
        kept_whole = self._put_values(field, records, cold)
        return PackedOfferings(hot, cold, {row: self.market.lexicon.offering(records[row]) for row in kept_whole})

    def _technology_bits(self, field: int) -> Numbers:
        known = self.fields[field].lexicon.technologies.known
        return np.array([1 << known.index(code) if code in known else 0 for code in self.market.lexicon.technologies], np.uint64)

    def _put_values(self, field: int, records: Records, cold: Numbers) -> set[int]:
        """Returns the rows with an attribute for which there is no slot."""
        without: set[int] = set()
        lexicon = self.fields[field].lexicon
        cold["values"] = np.nan
        for at in range(records["attribute"].shape[1]):
            attribute, value = records["attribute"][:, at], records["attribute_value"][:, at]
            for number in np.unique(attribute[attribute >= 0]).tolist():
                for is_text in (False, True):
                    rows = np.flatnonzero((attribute == number) & ((value >= TEXT) == is_text))
                    if not len(rows):
                        continue
                    numbers = (value[rows] - TEXT).astype(np.float64) if is_text else value[rows] / VALUE
                    for nth in range(records["attribute"].shape[1]):
                        slot = lexicon.slots.number(Slot(*self._key(number), is_text, nth))
                        if slot is None:
                            without.update(rows.tolist())
                            break
                        there = cold["values"][rows, slot]
                        free = np.isnan(there) | (there == numbers)
                        cold["values"][rows[free], slot] = numbers[free]
                        rows, numbers = rows[~free], numbers[~free]
                        if not len(rows):
                            break
        return without

    def _key(self, attribute: int) -> tuple[str, str]:
        name, unit = self.market.lexicon.attributes[attribute]
        return name.casefold(), unit.casefold()

    def packed_needs(self, field: int, records: Records) -> PackedNeeds:
        """Needs of this field. Offerings come first, so that the slots of all attributes are known."""
        hot = np.zeros((NEED_COLUMNS, len(records)), np.uint64)
        cold = np.zeros(len(records), NEED)
        hot[N.TECHNOLOGY] = self._technology_bits(field)[records["technology"]]
        hot[N.COUNTRY], hot[N.STANDARDS], hot[N.LANGUAGES] = records["country"], records["standards"], records["languages"]
        hot[N.STANDARDS_ASKED] = np.bitwise_count(records["standards"])
        hot[N.DAYS_LEFT] = records["days"]
        cold["id"] = _words(records["id"])
        cold["quantity"] = records["quantity"] / QUANTITY
        cold["budget"] = np.where(records["budget"] == NOT_STATED, np.nan, records["budget"] / MONEY)
        cold["currency"] = np.where(records["currency"] >= 0, self._currency[records["currency"]], 0)
        today = self.market.lexicon.today.toordinal()
        cold["today"], cold["deadline"] = today, today + records["days"]
        whole = {}
        for at in range(len(records)):
            if not self._put_asks(field, records[at], cold[at]):
                hot[N.FLAGS, at] = LOOSE
                whole[at] = self.market.lexicon.need(records[at])
        return PackedNeeds(hot, cold, whole)

    def _put_asks(self, field: int, record: Numbers, cold: Numbers) -> bool:
        lexicon, n = self.fields[field].lexicon, 0
        for at in range(int(record["requirements"])):
            low, high = int(record["low"][at]), int(record["high"][at])
            wanted = [int(one) for one in record["wanted"][at] if one != LOWEST] if low > high else [low]
            asks = []
            for value in wanted:
                is_text = value >= TEXT
                lowest, highest = (value, value) if low > high else (low, high)
                for slot in lexicon.slots_of(Slot(*self._key(int(record["attribute"][at])), is_text)):
                    asks.append((slot, _bound(lowest, is_text), _bound(highest, is_text)))
            if not asks or n + len(asks) > ASKS:
                return False
            for number, ask in enumerate(asks):
                cold["slot"][n], cold["low"][n], cold["high"][n] = ask
                cold["mandatory"][n], cold["or_next"][n] = record["mandatory"][at], number + 1 < len(asks)
                n += 1
        cold["asks"], cold["requirements"] = n, record["requirements"]
        return True

    def load(self) -> None:
        """All of the market's offerings."""
        offerings = self.market.offerings
        for number, field in enumerate(self.fields):
            field.load_packed(self.packed_offerings(number, offerings[(offerings["fields"] == number).any(axis=1)]))
            field.keep()


def _bound(value: int, is_text: bool) -> float:
    if value in (LOWEST, HIGHEST):
        return -np.inf if value == LOWEST else np.inf
    return float(value - TEXT) if is_text else value / VALUE


def _words(halves: Numbers) -> Numbers:
    return np.array([words_of(identifier(one)) for one in halves], np.uint64).reshape(-1, ID_WORDS)


class Ours:
    """The engine with a market's offerings."""

    name = "Musubi"

    def __init__(self, market: Market) -> None:
        self._market = market
        self.all = Fields(market)
        self.all.load()
        offerings = market.offerings
        rank = {one.tobytes(): int(number) for one, number in zip(_words(offerings["id"]), offerings["rank"], strict=True)}
        self._rank = [
            np.array([rank.get(one.tobytes(), NOT_STATED) for one in field.offerings.cold["id"][: field.offerings.used]])
            for field in self.all.fields
        ]
        self._of_need = np.zeros(len(market.needs), np.int64)
        self._packed: list[PackedNeeds] = []
        for number in range(len(self.all.fields)):
            rows = np.flatnonzero(market.needs["field"] == number)
            self._of_need[rows] = np.arange(len(rows))
            self._packed.append(self.all.packed_needs(number, market.needs[rows]))

    def new_needs(self, number: int) -> Found:
        return asked(self._best, number)

    def _best(self, need: int) -> list[tuple[int, int]]:
        field, at = int(self._market.needs["field"][need]), int(self._of_need[need])
        packed = self._packed[field]
        kept = self.all.fields[field].best_packed(packed.hot[:, at], packed.cold[at], packed.whole.get(at))
        length = min(LISTED, int(kept["length"]))
        return list(zip(kept["score"][:length].tolist(), self._rank[field][kept["row"][:length]].tolist(), strict=True))


@contextmanager
def opened(market: Market) -> Iterator[Ours]:
    yield Ours(market)


class OursWithNeeds(Ours):
    """The engine with a market's needs too, whose lists stand."""

    def __init__(self, market: Market, lists: Lists) -> None:
        super().__init__(market)
        for number, field in enumerate(self.all.fields):
            field.change_packed_needs(self._packed[number])
            field.keep()
        self._number = {identifier(one): number for number, one in enumerate(market.needs["id"])}

    def new_offerings(self, number: int) -> Entered:
        import time

        events, nanoseconds, needs = self._market.events, np.zeros(number, np.int64), []
        packed = [
            [
                (field, self.all.packed_offerings(field, events[at : at + 1]))
                for field in sorted({one for one in events["fields"][at].tolist() if one >= 0})
            ]
            for at in range(number)
        ]
        for at in range(number):
            begun = time.perf_counter_ns()
            for field, one in packed[at]:
                self.all.fields[field].change_packed(one)
            nanoseconds[at] = time.perf_counter_ns() - begun
            changed = [one.need_id for field, _ in packed[at] for one in self.all.fields[field].changed_lists()]
            needs.append(sorted({self._number[one] for one in changed}))
            for field, _ in packed[at]:
                self.all.fields[field].keep()
        return Entered(nanoseconds, needs)


@contextmanager
def opened_with_needs(market: Market, lists: Lists) -> Iterator[OursWithNeeds]:
    yield OursWithNeeds(market, lists)
