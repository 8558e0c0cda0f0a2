"""Sends what the outbox holds, oldest first. One relay leads for each service; those of other processes stand by.

The lock that makes it the leader lives on one session, which is never silent for long and which PostgreSQL ends if it is: so a
process whose network was cut loses the lead. After a commit the events are handed over in memory; that only spares the read,
the table `unsent` decides order and completeness. What has to be sent again after the broker lost something, `Sending` decides.

Where the broker has no topic for an event, that one waits, and all that was stored after it: on a compacted topic the last record
of a key counts, so what is forgotten as sent must be all that lies before what is not.
"""

import asyncio
from collections.abc import Mapping, Sequence

import asyncpg

from common.contracts.registry import TOPICS, Topic
from common.messaging import outbox, sending_store
from common.messaging.broker import Broker
from common.messaging.control import Progress, Resend
from common.messaging.message import Event, Partition
from common.messaging.outbox import Batch
from common.messaging.sender import Places, Sender
from common.messaging.sending import Sending
from common.messaging.window import Window
from common.postgres import CONNECT_SECONDS, server_settings
from common.telemetry import Telemetry

RELAY_LOCK = 0x6D757362
SESSION_SECONDS = 10
"""PostgreSQL ends a leader's session that is silent for so long; the publisher's deadline is shorter."""
_FEWEST_BATCHES, _MOST_BATCHES, _MANY_EVENTS = 8, 256, 2_000
"""How much is sent in one go: more batches as long as they are small, one after a failure."""
_KEPT_EVENTS = 16_000
"""So many events at most are kept in memory for sending; the rest is read back."""
_KEPT_CALLS = 500
_FILLED_AT_MOST = 50_000
_POLL_ALONE, _POLL_SHARED, _SHARED_FOR = 0.5, 0.05, 30.0
_CHECK_EVERY = 10.0
_TOPIC_MISSING_SECONDS = 1.0


class Relay:
    """The relay of one service in one process."""

    def __init__(
        self,
        dsn: str,
        schema: str,
        broker: Broker,
        told: Telemetry,
        *,
        window: Window | None = None,
        topics: Mapping[str, Topic] = TOPICS,
    ) -> None:
        """`window` is for a broker that throws unread records away. It has to be told by `heard`, or it waits once it is full.
        `topics` says where in its topic an event belongs."""
        self._dsn = dsn
        self._schema = schema
        self._broker = broker
        self._told = told
        self._window = window
        self._sender = Sender(broker, told, window, topics=topics)
        self._sending = Sending()
        self._fresh: dict[int, Sequence[Event]] = {}
        self._begun: tuple[int, int] | None = None  # a batch, and how many of its events are sent, where the window was full
        self._missing: frozenset[str] = frozenset()  # topics that have to be there before anything more is sent
        self._at_once = _FEWEST_BATCHES
        self._progress: dict[str, Progress] = {}
        self._calls: dict[Resend, None] = {}
        self._marked: set[str] = set()  # topics that are being sent again as a whole
        self._wake = asyncio.Event()
        self._shared_until = 0.0
        self._checked_at = 0.0
        self.leading = False

    def announce(self, batch: Batch) -> None:
        """Say, right after the commit, that a batch is there. Only a hint: losing it costs a read, nothing else."""
        if self.leading and sum(map(len, self._fresh.values())) < _KEPT_EVENTS:
            self._fresh[batch.number] = batch.events
        self._wake.set()

    def heard(self, progress: Progress) -> None:
        """A group says how far it is; each of its processes speaks of its own partitions."""
        before = self._progress.get(progress.group)
        if before and before.incarnation == progress.incarnation:
            self._progress[progress.group] = progress._replace(next=before.next | progress.next)
        else:
            self._progress[progress.group] = progress
        if self._window is not None and progress.incarnation == self._sending.incarnation:
            self._window.heard(progress.group, progress.next, asyncio.get_running_loop().time())
            self._wake.set()

    def asked(self, resend: Resend) -> None:
        """Somebody misses events. If another process leads, it has heard this, too."""
        if self.leading and len(self._calls) < _KEPT_CALLS:
            self._calls[resend] = None
            self._wake.set()

    # leading ---------------------------------------------------------------------------------------------------------
    async def run(self) -> None:
        """Lead whenever the lock is free; survive everything but cancellation."""
        clock, failures = asyncio.get_running_loop().time, 0
        while True:
            begun = clock()
            try:
                await self._lead()
            except Exception as error:  # noqa: BLE001  asyncpg's InternalClientError is in no family
                self._at_once = 1
                failures = 1 if clock() - begun > 2 * _CHECK_EVERY else failures + 1
                if failures & (failures - 1) == 0 or failures % 64 == 0:  # 1, 2, 4, 8… and about once a minute
                    said = {"in_a_row": failures, "error": repr(error)[:256]}
                    self._told.log.warning("relay starts again", extra=said)
                await asyncio.sleep(min(0.25 * failures, 1.0))

    async def _lead(self) -> None:
        session = server_settings(self._schema) | {"idle_session_timeout": f"{SESSION_SECONDS}s"}
        connection = await asyncpg.connect(self._dsn, command_timeout=5, timeout=CONNECT_SECONDS, server_settings=session)
        try:
            await self._stand_by(connection)
            self._sending = await sending_store.known(connection)
            if await sending_store.all_again(connection):  # the leader before us was cut off while it marked
                await self._mark_everything(connection, "begun before")
            await self._meet_broker(connection, in_doubt=True)
            self.leading = True
            self._told.metrics.leading.set(1)
            while True:
                if self._calls:
                    await self._answer_calls(connection)
                if not await self.send_some(connection):
                    await self._wait()
                if asyncio.get_running_loop().time() - self._checked_at > _CHECK_EVERY:
                    await self._meet_broker(connection)
        finally:
            self.leading = False
            self._told.metrics.leading.set(0)
            self._fresh.clear()
            self._calls.clear()
            self._marked.clear()
            self._begun = None
            self._wait_for(frozenset())
            connection.terminate()
            await self._sender.close()  # what is under way must not arrive under another's lead

    async def _stand_by(self, connection: asyncpg.Connection) -> None:
        """Until the lock is ours: nobody else leads then."""
        # A lock belongs to the whole database: the schema's own number keeps services apart.
        while not await connection.fetchval(  # noqa: ASYNC110  the lock is PostgreSQL's
            "select pg_try_advisory_lock($1, (select oid::int from pg_namespace where nspname = $2))", RELAY_LOCK, self._schema
        ):
            await asyncio.sleep(1)

    async def _meet_broker(self, connection: asyncpg.Connection, *, in_doubt: bool = False) -> None:
        """Ask the broker who it is and how long its log is; note how far the readers are.

        `in_doubt`: the oldest unsent events may lie in its log already, sent by us or by the leader before, unacknowledged."""
        doubtful: Mapping[Partition, int] = {}
        if in_doubt:
            doubtful = await self._sender.count(_events_of(await self._oldest(connection, _MOST_BATCHES, 2 * _MANY_EVENTS)))
            self._wait_for(self._sender.missing)  # how much is in doubt there can be said only when they are there
        known = self._sending.incarnation
        incarnation, ends = await self._broker.look({*self._sending.until, *doubtful}, known)
        self._checked_at = asyncio.get_running_loop().time()
        if self._window is not None:
            self._window.forget_silent(self._checked_at)
        if known and incarnation != known:
            await self._sender.close()  # its numbering belongs to the broker before
            if self._window is not None:
                self._window.forget()
        if incarnation == known:  # of a topic that is not there nothing is said; it may be back as it was
            ends = {part: end for part, end in self._sending.until.items() if part not in ends} | ends
        # To a life that is not noted nothing was sent: whoever meets it notes it first.
        again = self._sending.meet(incarnation, ends, doubtful if incarnation == known else {})
        await sending_store.met(connection, self._sending, all_again=again)
        if again:
            await self._mark_everything(connection, "its log is shorter" if incarnation == known else "its log is new")
        self._told.metrics.unsent.set(await outbox.count_unsent(connection))
        ours = {part.topic for part in self._sending.until}
        while self._progress:
            _, said = self._progress.popitem()
            next_ = {part: offset for part, offset in said.next.items() if part.topic in ours}
            await sending_store.note_reader(connection, said.group, said.incarnation, next_)

    async def _mark_everything(self, connection: asyncpg.Connection, why: str) -> None:
        self._begun = None
        marked = await outbox.mark_unsent(connection)
        await sending_store.everything_is_marked(connection)
        self._told.log.warning("everything is sent to the broker again", extra={"why": why, "batches": marked})

    async def _wait(self) -> None:
        """Until something was committed here, or for a short while: another process may commit too, and then we look often."""
        if self._missing:
            await asyncio.sleep(_TOPIC_MISSING_SECONDS)
            return
        shared = asyncio.get_running_loop().time() < self._shared_until
        try:
            async with asyncio.timeout(_POLL_SHARED if shared else _POLL_ALONE):
                await self._wake.wait()
        except TimeoutError:
            pass

    # sending ---------------------------------------------------------------------------------------------------------
    async def send_some(self, connection: asyncpg.Connection) -> bool:
        """Send the oldest unsent batches and forget them; False if there is nothing to do just now."""
        self._wake.clear()
        batches = await self._oldest(connection, self._at_once, _MANY_EVENTS)
        if not batches:
            self._marked.clear()
            return False
        if self._missing:
            return await self._all_there(connection)
        events = _events_of(batches)
        amount, places = await self._sender.send(events)
        self._wait_for(self._sender.missing)
        if not await self._lie_well(connection, events[:amount], places):
            return True
        sent: list[int] = []
        for number, batch in batches.items():
            if len(batch) > amount:
                self._begun = (number, self._already(number) + amount)
                break
            amount -= len(batch)
            sent.append(number)
        if sent or places:
            await sending_store.sent(connection, sent, self._sending, places)
        for number in sent:
            self._fresh.pop(number, None)
        self._at_once = min(self._at_once * 2, _MOST_BATCHES)
        return bool(sent or places)

    async def _all_there(self, connection: asyncpg.Connection) -> bool:
        """Go on if the broker has now what it had not."""
        if await self._broker.missing(self._missing):
            return False
        self._told.log.info("the topics are there: sending goes on", extra={"topics": sorted(self._missing)})
        self._wait_for(frozenset())
        await self._meet_broker(connection, in_doubt=True)
        return True

    def _wait_for(self, topics: frozenset[str]) -> None:
        """Note, and say, which topics have to be there before anything more is sent."""
        for topic in self._missing - topics:
            self._told.metrics.waits_for.remove(topic)
        for topic in topics - self._missing:
            self._told.metrics.waits_for.labels(topic).set(1)
            said = {"topic": topic, "to_mend": "musubi topics apply"}
            self._told.log.warning("sending waits: the broker has no such topic", extra=said)
        self._missing = topics

    async def _oldest(self, connection: asyncpg.Connection, most: int, many: int) -> dict[int, Sequence[Event]]:
        """The first unsent batches, so many at most and until there are many events; without those of a batch that are sent."""
        numbers = await outbox.unsent(connection, most)
        elsewhere = [number for number in numbers if number not in self._fresh]
        stored: Mapping[int, Sequence[Event]] = {}
        if elsewhere:
            self._shared_until = asyncio.get_running_loop().time() + _SHARED_FOR
            stored = await outbox.load(connection, elsewhere, many)
        found: dict[int, Sequence[Event]] = {}
        amount = 0
        for number in numbers:
            events = self._fresh[number] if number in self._fresh else stored.get(number)
            if events is None or amount >= many:
                break
            amount += len(events)
            found[number] = events[self._already(number) :]
        return found

    def _already(self, number: int) -> int:
        return self._begun[1] if self._begun and self._begun[0] == number else 0

    async def _lie_well(self, connection: asyncpg.Connection, events: Sequence[Event], places: Places) -> bool:
        """Where readers may stand beyond them, send them again until none can. False if everything has to be sent again."""
        outcome = self._sending.acknowledged(places)
        while outcome.wanting and not outcome.everything:
            if max(outcome.wanting.values()) > _FILLED_AT_MOST:
                self._told.log.error(
                    "the log lost so much that only readers can notice", extra={"records": [*outcome.wanting.values()]}
                )
                self._sending.beyond |= {part: self._sending.until[part] for part in outcome.wanting}
                return True
            places = await self._sender.send_again(events, outcome.wanting)
            outcome = self._sending.acknowledged(places)
            await sending_store.sent(connection, [], self._sending, places)
        if outcome.everything:
            await sending_store.met(connection, self._sending, all_again=True)
            await self._mark_everything(connection, "its log became shorter")
        return not outcome.everything

    async def _answer_calls(self, connection: asyncpg.Connection) -> None:
        """Send again what readers miss."""
        for resend in list(self._calls):
            if not resend.key:
                if resend.topic in self._marked:
                    continue  # its turn comes when what is under way has left
                self._marked.add(resend.topic)
                self._begun = None
                await sending_store.forget_marks(connection, resend.topic)
                await outbox.mark_unsent(connection, resend.topic)
                self._told.log.warning("a topic is sent again", extra={"topic": resend.topic})
            else:
                events = await outbox.range_of(connection, *resend)
                doubtful = await self._sender.count(events)
                await sending_store.sent(connection, [], self._sending.doubting(doubtful), doubtful)
                amount, places = await self._sender.send(events)
                if amount and await self._lie_well(connection, events[:amount], places):
                    await sending_store.sent(connection, [], self._sending, places)
                if amount < len(events):  # no room just now; what did leave must not leave again and again
                    self._told.metrics.resent.labels("sent").inc(amount)
                    del self._calls[resend]
                    self._calls[resend._replace(first=events[amount].sequence)] = None
                    return
                self._count_resent(resend, amount)
            del self._calls[resend]

    def _count_resent(self, resend: Resend, amount: int) -> None:
        missing = min(resend.last - resend.first + 1, outbox.MOST_OF_A_KEY) - amount
        self._told.metrics.resent.labels("sent").inc(amount)
        if missing > 0:
            self._told.metrics.resent.labels("gone").inc(missing)
            self._told.log.warning("asked to send again what is not there", extra=resend._asdict() | {"missing": missing})


def _events_of(batches: Mapping[int, Sequence[Event]]) -> list[Event]:
    return [event for batch in batches.values() for event in batch]
