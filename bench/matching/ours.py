"""Our engine in the comparison: the fields of `matching.engine`, filled from the benchmark's records.

Records become packed columns directly, many at once; a test compares them with what the engine makes of the objects.
"""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from bench.matching.engines import Entered, Found, Lists, Numbers, asked
from bench.matching.records import HIGHEST, LOWEST, MONEY, NOT_STATED, QUANTITY, TEXT, VALUE, Market, Records, identifier
from matching.engine.field import Field
from matching.engine.layout import (
    ASKS,
    ID_WORDS,
    LEAD_TIME,
    NEED,
    NEED_COLUMNS,
    NEED_MAPS,
    OFFERING,
    OFFERING_COLUMNS,
    OFFERING_MAPS,
    N,
    words_of,
    zeros,
)
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
        field.have_names()
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
        technologies, bit = np.zeros(len(records), np.uint64), self._technology_bits(field)
        for at in range(records["technologies"].shape[1]):
            code = records["technologies"][:, at]
            technologies |= np.where(code >= 0, bit[code], np.uint64(0))
        states_none = (records["languages"] == 0).astype(np.uint64)
        served, interesting = records["serves"], records["interested_in"]
        languages = states_none | records["languages"] << np.uint64(1)
        sets = _in_words(OFFERING_MAPS, technologies, served, served | interesting, records["standards"], languages)
        hot, cold = np.zeros((len(records), OFFERING_COLUMNS), np.int64), zeros(len(records), OFFERING)
        hot[:, LEAD_TIME] = records["lead_time"]
        for name in ("minimum", "maximum"):
            cold[name] = np.where(records[name] == NOT_STATED, np.nan, records[name] / QUANTITY)
        tiers = records["tier_quantity"].shape[1]
        cold["from_quantity"] = np.inf
        there = np.arange(tiers) < records["tiers"][:, None]
        cold["from_quantity"][:, :tiers] = np.where(there, records["tier_quantity"] / QUANTITY, np.inf)
        self._put_prices(records["tier_price"], there, cold)
        cold["tiers"], cold["incremental"] = records["tiers"], records["incremental"]
        cold["currency"] = np.where(records["currency"] >= 0, self._currency[records["currency"]], 0)
        kept_whole = self._put_values(field, records, cold)
        return PackedOfferings(
            _words(records["id"]), sets, hot, cold, {row: self.market.lexicon.offering(records[row]) for row in kept_whole}
        )

    def _put_prices(self, prices: Numbers, there: Numbers, cold: Numbers) -> None:
        """Of four digits each, so that one power of ten leaves whole numbers of all tiers."""
        left = np.where(there, prices, 0)
        power = np.full(len(prices), -round(math.log10(MONEY)))
        while (round_ := (left.max(axis=1) > 0) & (left % 10 == 0).all(axis=1)).any():
            left[round_] //= 10
            power[round_] += 1
        if left.max(initial=0) >= 2**31:
            raise ValueError("the benchmark's prices fit in 32 bits")
        cold["unit_price"][:, : left.shape[1]], cold["price_power"] = left, power

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
                    numbers = (value[rows] - TEXT if is_text else value[rows] / VALUE).astype(np.float32)
                    for nth in range(records["attribute"].shape[1]):
                        slot = lexicon.slots.number(Slot(*self._key(number), is_text, nth))
                        if slot is None:
                            without.update(rows.tolist())
                            cold["wide"][rows] = nth > 0
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
        hot, cold = np.zeros((len(records), NEED_COLUMNS), np.int64), zeros(len(records), NEED)
        hot[:, N.DAYS_LEFT] = records["days"]
        known = self.fields[field].lexicon.technologies.known
        number = np.array([known.index(code) if code in known else 0 for code in self.market.lexicon.technologies])
        cold["technology"], cold["country"] = number[records["technology"]], records["country"]
        technology = self._technology_bits(field)[records["technology"]]
        country = np.uint64(1) << records["country"].astype(np.uint64)
        sets = _in_words(NEED_MAPS, technology, country, records["languages"] << np.uint64(1))
        _put_numbers(cold, "standard", "standards", records["standards"])
        _put_numbers(cold, "language", "languages", records["languages"] << np.uint64(1))
        cold["quantity"] = records["quantity"] / QUANTITY
        cold["budget"] = np.where(records["budget"] == NOT_STATED, np.nan, records["budget"] / MONEY)
        cold["currency"] = np.where(records["currency"] >= 0, self._currency[records["currency"]], 0)
        today = self.market.lexicon.today.toordinal()
        cold["today"], cold["deadline"] = today, today + records["days"]
        whole = {}
        for at in range(len(records)):
            if not self._put_asks(field, records[at], cold[at]):
                hot[at, N.LOOSE] = 1
                whole[at] = self.market.lexicon.need(records[at])
        return PackedNeeds(_words(records["id"]), sets, hot, cold, whole)

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
                cold["mandatory"] |= bool(record["mandatory"][at]) << n
                cold["or_next"] |= (number + 1 < len(asks)) << n
                n += 1
        cold["asks"], cold["requirements"] = n, record["requirements"]
        return True

    def load(self) -> None:
        """All of the market's offerings."""
        offerings = self.market.offerings
        for number, field in enumerate(self.fields):
            field.change_packed(self.packed_offerings(number, offerings[(offerings["fields"] == number).any(axis=1)]))
            field.keep()


def _in_words(widths: Sequence[int], *columns: Numbers) -> Numbers:
    """The benchmark's sets take a word each; the engine's have room for more."""
    sets = np.zeros((len(columns[0]), sum(widths)), np.uint64)
    sets[:, np.cumsum((0, *widths[:-1]))] = np.stack(columns, axis=1)
    return sets


def _put_numbers(cold: Numbers, name: str, count: str, bits: Numbers) -> None:
    """Which bits are set, as a list of their numbers."""
    cold[count] = 0
    for bit in range(64):
        rows = np.flatnonzero(bits >> np.uint64(bit) & np.uint64(1))
        cold[name][rows, cold[count][rows]] = bit
        cold[count][rows] += 1


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
            np.array([rank.get(one.tobytes(), NOT_STATED) for one in field.offerings.ids[: field.offerings.used]])
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
        kept = self.all.fields[field].best_packed(packed.hot[at], packed.cold[at], packed.whole.get(at))
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
            changed = [one.need_id for field, _ in packed[at] for one in self.all.fields[field].changed_lists()]
            nanoseconds[at] = time.perf_counter_ns() - begun
            needs.append(sorted({self._number[one] for one in changed}))
            for field, _ in packed[at]:
                self.all.fields[field].keep()
        return Entered(nanoseconds, needs)


@contextmanager
def opened_with_needs(market: Market, lists: Lists) -> Iterator[OursWithNeeds]:
    yield OursWithNeeds(market, lists)
