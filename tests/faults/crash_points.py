"""Where a process may be killed by itself: before, in the middle of, or after named functions of the product."""

import asyncio
import functools
import inspect
import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple

from tests.faults.orders import Order
from tests.faults.wrapping import is_context, replace

When = Literal["before", "within", "after"]
"""`within`: while it waits for the n-th time (of a transaction: while it is being committed)."""

ALL = ("needs", "catalog", "matching", "notify", "counter", "tally")
READERS = ("matching", "notify", "counter", "tally")
PARTNERS = ("needs", "catalog")


class CrashPoint(NamedTuple):
    """One place. `services` are those that come by it; `at_start` says that it is passed only when a process starts."""

    where: str
    when: When
    services: tuple[str, ...]
    at_start: bool = False

    @property
    def name(self) -> str:
        """`outbox.append:after`, `notify.smtp.MailServer.send:within`, and so on."""
        module, _, function = self.where.partition(":")
        if module.startswith("common."):
            module = module.rpartition(".")[2]
        return f"{module}.{function}:{self.when}"


def _points(where: str, whens: str, services: tuple[str, ...], *, at_start: bool = False) -> list[CrashPoint]:
    names: dict[str, When] = {"before": "before", "within": "within", "after": "after"}
    return [CrashPoint(where, names[when], services, at_start) for when in whens.split()]


CRASH_POINTS: dict[str, CrashPoint] = {
    point.name: point
    for group in (
        # announcing
        _points("common.messaging.outbox:append", "before within after", ALL),
        _points("common.postgres:Database.transaction", "within after", ALL),
        _points("common.messaging.relay:Relay.announce", "before", ALL),
        _points("common.messaging.publisher:Publisher.publish", "before within after", ALL),
        # between the acknowledgement and what is noted of it
        _points("common.messaging.sending_store:sent", "before within after", ALL),
        _points("common.messaging.sending_store:met", "before within after", ALL),
        _points("common.messaging.outbox:mark_unsent", "within after", ("needs", "catalog", "matching", "notify", "counter")),
        _points("common.messaging.outbox:range_of", "after", ("counter",)),
        _points("common.messaging.relay:Relay._meet_broker", "within after", ALL),
        # taking in
        _points("common.messaging.cursors:claim", "before after", READERS),
        _points("common.messaging.cursors:fence", "before after", READERS),
        _points("common.messaging.cursors:advance", "before after", READERS),
        _points("common.messaging.cursors:move", "before after", READERS),
        _points("common.messaging.cursors:rewind", "before after", READERS),
        _points("common.messaging.parked:park", "before after", READERS),
        _points("common.messaging.parked:quarantine", "before after", READERS),
        _points("common.messaging.consumer:Consumer.store", "before within after", READERS),
        _points("common.messaging.consumer:Consumer._handle", "within after", READERS),
        _points("common.messaging.stay:Stay._seek", "before after", READERS),
        _points("common.messaging.stay:Stay.hint", "before after", READERS),
        _points("common.messaging.stay:Stay._go_back", "before", READERS),
        _points("common.messaging.dead_letters:announce", "after", READERS),
        # going on with what waits
        _points("common.messaging.unparker:Unparker._go_on", "before within after", READERS),
        _points("common.messaging.unparker:Unparker.step", "after", READERS),
        _points("common.messaging.cursors:move_soon", "after", READERS),
        _points("common.messaging.parked:remove", "after", READERS),
        _points("common.messaging.parked:wait_again", "after", READERS),
        _points("common.messaging.control:Control.ask", "before after", READERS),
        _points("common.messaging.control:Control.report", "before within", READERS),
        # what each service does
        _points("needs.handlers:record_need", "within after", ("needs",)),
        _points("needs.handlers:close_need", "after", ("needs",)),
        _points("catalog.handlers:record_offering", "within after", ("catalog",)),
        _points("matching.handlers:take_locks", "after", ("matching",)),
        _points("matching.handlers:propose_for_needs", "within after", ("matching",)),
        _points("matching.handlers:propose_for_offerings", "within after", ("matching",)),
        _points("notify.handlers:notify_of_matches", "within after", ("notify",)),
        _points("notify.mail_store:plan_mails", "after", ("notify",)),
        # duties
        _points("common.due:DutyRunner._claim", "after", ("needs", "matching")),
        _points("common.due:_done", "before after", ("needs", "matching")),
        # partners
        _points("common.partners.intake:Intake.take_in", "before within after", PARTNERS),
        _points("common.partners.inbox:receipt", "after", PARTNERS),
        _points("common.partners.inbox:settle", "before after", PARTNERS),
        # mail
        _points("notify.compose:compose_planned", "within after", ("notify",)),
        _points("notify.mail_store:claim", "after", ("notify",)),
        _points("notify.smtp:MailServer.send", "before within after", ("notify",)),
        _points("notify.mail_store:settle", "before after", ("notify",)),
        # coming up
        _points("common.migrate:apply", "within after", ALL, at_start=True),
        _points("common.service:Service._open_database", "after", ALL, at_start=True),
    )
    for point in group
}

HANGING = "consumer.Consumer._handle:after"
"""Where a handler hangs when it is told to."""


class Trigger:
    """Knows what was ordered, and does it when the point is reached. `notes` is a file that says afterwards what was done."""

    def __init__(self, notes: Path | None = None, die: Callable[[], None] | None = None) -> None:
        self.order: Order | None = None
        self.obeyed: list[Order] = []
        self.only: Callable[..., bool] = lambda *args: True
        """Which calls count, by their arguments."""
        self.released = asyncio.Event()
        """Set, it ends what hangs."""
        self.over = False
        """Whether the call in which the order was obeyed has ended."""
        self._notes = notes
        self._die = die or _kill_ourselves

    def take(self, order: Order) -> None:
        """From now on this is to be done; an order without a point takes the one before back."""
        self.order = order if order.point else None

    def wants(self, point: str, args: Sequence[Any] = ()) -> Order | None:
        """The order, if this call is the one."""
        order = self.order
        if order is None or order.point != point or not self.only(*args):
            return None
        order.nth -= 1
        if order.nth > 0:
            return None
        self.order = None
        return order

    async def obey(self, order: Order) -> None:
        """Here and now."""
        self.note(order)
        if order.hang:
            with suppress(TimeoutError):
                async with asyncio.timeout(order.hang):
                    await self.released.wait()
        else:
            self._die()

    def obey_at_once(self, order: Order) -> None:
        """The same where nothing can be waited for: it ends."""
        self.note(order)
        self._die()

    def note(self, order: Order) -> None:
        """Write down that it was done; the line is in the file before we are gone."""
        self.obeyed.append(order)
        if self._notes is not None:
            with self._notes.open("a") as file:
                file.write(json.dumps({"point": order.point, "hang": order.hang}) + "\n")


def _kill_ourselves() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def wrap(point: CrashPoint, trigger: Trigger) -> Callable[[], None]:
    """Put the trigger at this point of the product; returns what takes it back."""
    return replace(point.where, lambda function: _wrapped(function, point, trigger))


def _wrapped(function: Any, point: CrashPoint, trigger: Trigger) -> Any:
    if is_context(function):
        return _context(function, point, trigger)
    if inspect.iscoroutinefunction(function):
        return _coroutine(function, point, trigger)
    if point.when == "within":
        raise TypeError(f"{point.where} does not wait, so it has no middle")
    return _plain(function, point, trigger)


def _plain(function: Any, point: CrashPoint, trigger: Trigger) -> Any:
    @functools.wraps(function)
    def wrapper(*args: Any, **named: Any) -> Any:
        order = trigger.wants(point.name, args)
        if order and point.when == "before":
            trigger.obey_at_once(order)
        result = function(*args, **named)
        if order and point.when == "after":
            trigger.obey_at_once(order)
        return result

    return wrapper


def _coroutine(function: Any, point: CrashPoint, trigger: Trigger) -> Any:
    @functools.wraps(function)
    async def wrapper(*args: Any, **named: Any) -> Any:
        order = trigger.wants(point.name, args)
        if order is None:
            return await function(*args, **named)
        try:
            if point.when == "before":
                await trigger.obey(order)
            if point.when == "within":
                return await _UntilTheStep(function(*args, **named), order, trigger)
            result = await function(*args, **named)
            if point.when == "after":
                await trigger.obey(order)
            return result
        finally:
            trigger.over = True

    return wrapper


def _context(function: Any, point: CrashPoint, trigger: Trigger) -> Any:
    @asynccontextmanager
    async def wrapper(*args: Any, **named: Any) -> AsyncIterator[Any]:
        order = trigger.wants(point.name, args)
        if order is None:
            async with function(*args, **named) as inside:
                yield inside
            return
        if point.when == "before":
            await trigger.obey(order)
        context = function(*args, **named)
        inside = await context.__aenter__()
        try:
            yield inside
        except BaseException as error:
            if not await context.__aexit__(type(error), error, error.__traceback__):
                raise
        else:
            leaving = context.__aexit__(None, None, None)
            await (_UntilTheStep(leaving, order, trigger) if point.when == "within" else leaving)
        if point.when == "after":
            await trigger.obey(order)

    return functools.wraps(function)(wrapper)


class _UntilTheStep:
    """Awaits something, and obeys while it waits for the n-th time (or when it ends, if it waits less often)."""

    def __init__(self, awaitable: Any, order: Order, trigger: Trigger) -> None:
        self._awaitable = awaitable
        self._order = order
        self._trigger = trigger

    def __await__(self) -> Generator[Any, Any, Any]:
        inner = self._awaitable.__await__()
        waits, obeyed = 0, False
        sent: Any = None
        error: BaseException | None = None
        while True:
            try:
                awaited = inner.send(sent) if error is None else inner.throw(error)
            except StopIteration as end:
                if not obeyed:
                    self._trigger.obey_at_once(self._order)
                return end.value
            waits += 1
            if waits >= self._order.step and not obeyed:
                obeyed = True
                self._trigger.obey_at_once(self._order)
            error = None
            try:
                sent = yield awaited
            except BaseException as raised:  # noqa: BLE001  a cancellation, too, belongs to what is inside
                error = raised
