"""What this process knows of the technology groups: the engine's fields, as PostgreSQL has them.

PostgreSQL is the record; what is here is a copy at a version. Whoever has a group's lock looks at the group's version first, and
reads what others changed since. What a transaction does here is undone where it is rolled back; where not even that is sure, the
group is forgotten and read anew when it is wanted.
"""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from dataclasses import field as made_by
from datetime import date
from typing import NamedTuple, TypeVar

from prometheus_client import CollectorRegistry
from prometheus_client import Counter as Work

from common.postgres import Database
from common.telemetry import ENGINE_TOTAL
from common.transaction import Transaction
from matching import memory_store, snapshots, store
from matching.domain.circumstances import Rates
from matching.domain.shortlist import Rank
from matching.domain.sides import Need, Offering
from matching.engine import freezing, self_check
from matching.engine.field import Counts, Field
from matching.engine.market import Market
from matching.memory_store import Member

FEW = 2_000
"""So many members are read in a moment: no snapshot is worth while for them."""
FORGET_AFTER = 60.0
"""Seconds."""

T = TypeVar("T")
_COUNTED = tuple(one.name for one in fields(Counts))

READ_AT_ONCE = 250
"""Rows; they are decoded in one go, and others on the event loop wait for it."""
OFFERINGS_AT_ONCE, NEEDS_AT_ONCE = 20, 20
"""The same for what is worked on in one go, where there are lists to bring up to date."""


class NewList(NamedTuple):
    """The ten best of a need of a group now, best first, and which of these offerings changed themselves."""

    group: str
    need_id: str
    listed: list[Rank]
    renewed: frozenset[str] = frozenset()


@dataclass
class News:
    """What changed in one group. Needs stand with the day for which they are judged, or None where they are not open; offerings
    with None where they are not in the group any more; each once."""

    needs: dict[str, tuple[Need, date] | None] = made_by(default_factory=dict)
    offerings: dict[str, Offering | None] = made_by(default_factory=dict)


class Group:
    """A technology group in memory, as it was at `version`. To be touched only by whoever has it in a `Hold`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.turn = asyncio.Lock()
        self.version = 0
        self.read = 0
        """How often it was read from the beginning since that was told last."""
        self.restored = 0
        """How often from a snapshot."""
        self.read_since = 0
        """How much changed since the snapshot that there is: so much would have to be read beside it."""
        self._fields: dict[str, Field] = {}
        self._market = Market()

    def forget(self) -> None:
        """Nothing is known here any more."""
        self.version = self.read_since = 0
        self._fields = {}

    def keep(self) -> None:
        """What was changed stays."""
        for field in self._fields.values():
            field.keep()

    def undo(self) -> None:
        """Have everything as it was when it was last kept."""
        for field in self._fields.values():
            field.undo()

    def judge_by(self, rates: Rates) -> None:
        """These are the exchange rates now."""
        if rates != self._market.rates:
            self._market.set(rates)

    async def catch_up(self, tx: Transaction, version: int) -> None:
        """Read what others changed up to this version."""
        if self.version == version:
            return
        if self.version == 0 and not await self._restore(tx, version):
            self.read += 1
        async for offerings in memory_store.offerings_since(tx, self.name, self.version, READ_AT_ONCE):
            gone = [one.id for one in offerings if one.offering is None]
            await self.change_offerings([one.offering for one in offerings if one.offering is not None], gone)
        async for needs in memory_store.needs_since(tx, self.name, self.version, READ_AT_ONCE):
            gone = [one.id for one in needs if one.need is None]
            await self.change_needs([(one.need, one.today) for one in needs if one.need is not None], gone)
        self.keep()
        self.version = version

    async def _restore(self, tx: Transaction, version: int) -> bool:
        """Be as the snapshot says, if there is one that can be read."""
        market = Market()
        found = await snapshots.read(tx, self.name, version, market)
        if found is None:
            return False
        market.set(self._market.rates)
        self._market, (self.version, self._fields) = market, found
        self.restored += 1
        return True

    async def save(self, database: Database) -> None:
        """Write a snapshot of what was kept last. Who works on the group waits only while memory is copied."""
        async with self.turn:
            version, self.read_since = self.version, 0
            frozen = await asyncio.to_thread(freezing.freeze, self._fields, self._market)
        if version:
            await snapshots.write(database, self.name, version, frozen)

    @property
    def worth_saving(self) -> bool:
        """Whether a good part would have to be read beside the snapshot that there is."""
        size = sum(len(field.offerings) + len(field.needs) for field in self._fields.values())
        return self.read_since > max(FEW, size // 10)

    async def change_offerings(self, offerings: Sequence[Offering], gone: Sequence[str] = ()) -> None:
        """These are new or changed (each once), those are not in the group any more."""
        self.read_since += len(offerings) + len(gone)
        listed = [one for one in offerings if one.listed]
        leaving = [*gone, *(one.id for one in offerings if not one.listed)]
        for unit, field in self._all_of({one.unit for one in listed}):
            here = [one for one in listed if one.unit == unit]
            elsewhere = [one.id for one in listed if one.unit != unit]
            for some in _portions(here, OFFERINGS_AT_ONCE if len(field.needs) else READ_AT_ONCE):
                field.change_offerings(some)
                await asyncio.sleep(0)
            if leaving or elsewhere:
                field.change_offerings((), [*leaving, *elsewhere])

    async def change_needs(self, needs: Sequence[tuple[Need, date]], gone: Sequence[str] = ()) -> None:
        """The same for needs, each with the day for which it is judged; one that is not open then has no list."""
        self.read_since += len(needs) + len(gone)
        for unit, field in self._all_of({need.unit for need, _ in needs}):
            here = [one for one in needs if one[0].unit == unit]
            elsewhere = [need.id for need, _ in needs if need.unit != unit]
            for some in _portions(here, NEEDS_AT_ONCE):
                field.change_needs(some)
                await asyncio.sleep(0)
            if gone or elsewhere:
                field.change_needs((), [*gone, *elsewhere])

    def changed_lists(self) -> list[NewList]:
        """The lists that read differently than when they were last kept, and those of needs that changed."""
        changes = (change for field in self._fields.values() for change in field.changed_lists())
        return [NewList(self.name, one.need_id, one.listed, one.renewed) for one in changes]

    def work(self) -> Counter[str]:
        """How much the engine did since this was asked last, by what it was."""
        done: Counter[str] = Counter()
        for field in self._fields.values():
            counts, field.counts = field.counts, Counts()
            done.update({name: getattr(counts, name) for name in _COUNTED})
        done["groups_read"], self.read = self.read, 0
        done["groups_restored"], self.restored = self.restored, 0
        return done

    def listed(self, need_id: str) -> list[Rank] | None:
        """The list of a need; None where it is not open here."""
        found = (field.standing(need_id) for field in self._fields.values())
        return next((standing.listed for standing in found if standing is not None), None)

    def _all_of(self, units: Iterable[str]) -> list[tuple[str, Field]]:
        """The field of each unit that was ever used here, these included."""
        for unit in sorted(units):
            if unit not in self._fields:
                self._fields[unit] = Field(self.name, unit, self._market)
        return list(self._fields.items())


class Hold:
    """The groups that one transaction has to itself, and what it has done to them: a companion of the transaction."""

    def __init__(self, memory: "Memory", tx: Transaction) -> None:
        self._memory = memory
        self._tx = tx
        self._groups: dict[str, Group] = {}
        self._began: dict[str, int] = {}
        """At which version each group was before the transaction changed it."""
        self._changed: set[str] = set()
        self._settled: set[str] = set()
        self._uncertain: set[str] = set()
        self._told: dict[tuple[str, str], list[Rank]] = {}

    async def have(self, groups: Iterable[str]) -> None:
        """Wait for these groups, in one order for everybody, and know them as they are now."""
        wanted = sorted(groups)
        for name in wanted:
            if name not in self._groups:
                group = self._memory.group(name)
                await group.turn.acquire()
                self._groups[name] = group
        await store.lock_groups(self._tx, wanted)
        versions, rates = await memory_store.versions(self._tx, wanted), await store.rates(self._tx)
        for name, version in versions.items():
            self._groups[name].judge_by(rates)
            if name in self._settled and self._groups[name].version != version:
                self._uncertain.add(name)  # what it reads now, nobody has committed yet
            try:
                await self._groups[name].catch_up(self._tx, version)
            except BaseException:
                self._groups[name].forget()
                raise

    async def take_in(self, rates: Rates, news: Mapping[str, News]) -> list[NewList]:
        """This is new in these groups, which have to be held; returns the lists that read differently for it."""
        members: list[Member] = []
        lists: list[NewList] = []
        for name, here in news.items():
            group = self._groups[name]
            self._begin(group)
            group.judge_by(rates)
            offered = [one for one in here.offerings.values() if one is not None]
            await group.change_offerings(offered, [id_ for id_, one in here.offerings.items() if one is None])
            asked = [one for one in here.needs.values() if one is not None]
            await group.change_needs(asked, [id_ for id_, one in here.needs.items() if one is None])
            lists += self._told_anew(group, here.needs.keys() | here.offerings.keys())
            members += [Member(name, "offering", id_, one) for id_, one in here.offerings.items()]
            members += [Member(name, "need", id_, *(one or (None, None))) for id_, one in here.needs.items()]
            group.version += 1
        await memory_store.save(self._tx, members, {name: self._groups[name].version for name in news})
        return lists

    async def search_anew(self, group: str, needs: Sequence[tuple[Need, date]]) -> list[NewList]:
        """Search the lists of these needs by the rates of the last `take_in`, though nothing of them changed."""
        known, asked = self._groups[group], {need.id for need, _ in needs}
        self._begin(known)
        await known.change_needs(needs)
        return [one for one in known.changed_lists() if one.need_id in asked]

    def _told_anew(self, group: Group, changed: Collection[str]) -> list[NewList]:
        """The group's changed lists without those told before in this transaction, unless they hold what `changed` just now."""
        news = []
        for one in group.changed_lists():
            place = (group.name, one.need_id)
            if self._told.get(place) != one.listed or one.need_id in changed or not one.renewed.isdisjoint(changed):
                self._told[place] = one.listed
                news.append(one)
        return news

    def _begin(self, group: Group) -> None:
        self._began.setdefault(group.name, group.version)
        self._changed.add(group.name)

    def kept(self) -> None:
        """See `Companion`."""
        self._settled |= self._changed
        self._changed.clear()

    def undone(self) -> None:
        """See `Companion`. Only as a whole can what a transaction did to a group be undone; so if some of it stands, the group
        is read anew."""
        for name in self._changed:
            if name in self._settled:
                self._groups[name].forget()
            else:
                self._go_back(name)
        self._changed.clear()
        self._told.clear()

    def ended(self, *, committed: bool) -> None:
        """See `Companion`. Lets the groups go, whatever happens."""
        try:
            for name in self._changed | self._settled:
                if committed:
                    self._groups[name].keep()
                elif name in self._uncertain:
                    self._groups[name].forget()
                else:
                    self._go_back(name)
        except BaseException:
            for group in self._groups.values():
                group.forget()
            raise
        finally:
            for group in self._groups.values():
                self._memory.count(group.work())
                group.turn.release()
            self._memory.let_go(self._tx)

    def _go_back(self, name: str) -> None:
        group = self._groups[name]
        if group.version != 0 or self._began[name] == 0:
            group.undo()
            group.version = self._began.pop(name)


class Memory:
    """The technology groups as one process knows them, each read when it is first wanted. `registry` is told how much work that
    was."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self._work = Work(ENGINE_TOTAL, "What the matching engine did", ["what"], registry=registry)
        self._groups: dict[str, Group] = {}
        self._holds: dict[Transaction, Hold] = {}
        self._following = asyncio.Lock()
        self._left_at: dict[str, float] = {}
        """The groups that were read because they are ours: when each was seen to be another's; infinite while it is ours."""

    async def check_the_engine(self) -> None:
        """Have it compiled, and compare it with the plain rules; raises `KernelsDisagree`."""
        await asyncio.to_thread(self_check.check)

    async def follow(self, database: Database, groups: Iterable[str], ours: Callable[[str], bool]) -> None:
        """Know those of these groups that are ours, each read in a transaction of its own, so that no event waits for it later;
        forget those that went to another process a while ago. Cheap where nothing of that changed."""
        async with self._following:
            for name in groups:
                if ours(name):
                    if name not in self._left_at:
                        async with database.transaction() as tx:
                            await self.hold(tx, [name])
                    self._left_at[name] = math.inf
                elif name in self._left_at:
                    # Between two owners, for a moment, nothing is ours: what comes back at once need not be read again.
                    self._left_at[name] = min(self._left_at[name], time.monotonic())
                    if time.monotonic() - self._left_at[name] > FORGET_AFTER:
                        async with self.group(name).turn:
                            self.group(name).forget()
                        del self._left_at[name]

    async def save_snapshots(self, database: Database) -> bool:
        """Save one group of which much changed since its snapshot; True if there was one. See `Service.in_background`."""
        for group in list(self._groups.values()):
            if group.worth_saving:
                await group.save(database)
                return True
        return False

    def group(self, name: str) -> Group:
        """A group; nothing may be known of it yet."""
        return self._groups.setdefault(name, Group(name))

    async def hold(self, tx: Transaction, groups: Collection[str]) -> Hold:
        """Have these groups to ourselves until the end of the transaction, besides those that it has already."""
        hold = self._holds.get(tx)
        if hold is None:
            hold = self._holds[tx] = Hold(self, tx)
            tx.companions.append(hold)
        await hold.have(groups)
        return hold

    def held(self, tx: Transaction) -> Hold:
        """What a transaction holds."""
        return self._holds[tx]

    def count(self, work: Mapping[str, int]) -> None:
        """So much was done."""
        for what, amount in work.items():
            self._work.labels(what).inc(amount)

    def let_go(self, tx: Transaction) -> None:
        """The transaction is over."""
        del self._holds[tx]


def _portions(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[begin : begin + size] for begin in range(0, len(items), size))
