"""Wrong ways to take events in, from Kafka and from partners, and to send mails, each in the place of a right one."""

import asyncio
import re
import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from common.messaging import cursors
from common.messaging.cursors import Claim
from common.messaging.gate import LaneKey, Move, Parked, Refusal, Verdict
from common.messaging.message import Partition
from common.messaging.unparking import Step
from common.partners.inbox import Receipt
from common.transaction import Transaction


# readers -----------------------------------------------------------------------------------------------------------------
def offsets_first(right: Any) -> Any:
    async def store(consumer: Any, records: Any, after: Any, owned: Any, *, patient: bool) -> None:
        async with consumer.database.transaction() as tx:
            await cursors.fence(tx, consumer.group, owned, after)
        await right(consumer, records, after, owned, patient=patient)

    return store


def moves_from_anywhere(right: Any) -> Any:
    async def advance(tx: Transaction, group: str, wanted: Mapping[LaneKey, Move]) -> dict[LaneKey, Move]:
        for (topic, key), (before, last) in wanted.items():
            await tx.execute(
                """insert into inbox_cursor (grp, topic, key, before, last) values ($1, $2, $3, $4, $5)
                on conflict (key, topic, grp) do update set before = excluded.before, last = excluded.last""",
                group, topic, key, before, last,
            )  # fmt: skip
        return dict(wanted)

    return advance


def old_is_new(right: Any) -> Any:
    def judge(lane: Any, sequence: int, *, dense: bool) -> Verdict:
        return right(lane, sequence, dense=dense) if dense else Verdict.HANDLE

    return judge


def drops_the_broken(right: Any) -> Any:
    def decode(*args: Any) -> Any:
        found = right(*args)
        found.broken = [broken for broken in found.broken if "header" not in broken.reason]
        return found

    return decode


def claims_without_life(right: Any) -> Any:
    async def claim(tx: Transaction, group: str, incarnation: str, parts: Any) -> list[Claim]:
        ordered = sorted(parts)
        rows = await tx.fetch(
            """insert into consumer_offset as mine (grp, topic, part, incarnation, generation)
            select $1, topic, part, $2, 1 from unnest($3::text[], $4::int[]) as x(topic, part) order by topic, part
            on conflict (grp, topic, part) do update set generation = mine.generation + 1, incarnation = excluded.incarnation
            returning topic, part, generation, next""",
            group, incarnation, [part.topic for part in ordered], [part.number for part in ordered],
        )  # fmt: skip
        return [Claim(Partition(topic, part), generation, offset) for topic, part, generation, offset in rows]

    return claim


def fences_nobody(right: Any) -> Any:
    async def fence(tx: Transaction, group: str, owned: Any, after: Mapping[Partition, int]) -> None:
        await tx.connection.executemany(
            "update consumer_offset set next = $4 where grp = $1 and topic = $2 and part = $3",
            [(group, *part, offset) for part, offset in sorted(after.items())],
        )

    return fence


def never_back(right: Any) -> Any:
    async def rewind(stay: Any, parts: Any) -> None:
        stay._turns.update(parts)  # what lies before where it stands is left aside

    return rewind


def skips_poison(right: Any) -> Any:
    def failed(halving: Any, error: str) -> None:
        if len(halving._now) == 1:
            halving.done += halving._now
        else:
            right(halving, error)

    return failed


def blocks_nobody(right: Any) -> Any:
    def poison(halving: Any, event: Any, refusal: Refusal) -> None:
        halving.parked.append(Parked(event, "poison", refusal))

    return poison


def lets_all_through(right: Any) -> Any:
    def judge(lane: Any, sequence: int, *, dense: bool) -> Verdict:
        return Verdict.REPEAT if sequence <= lane.last else Verdict.HANDLE

    return judge


def first_half_only(right: Any) -> Any:
    def failed(halving: Any, error: str) -> None:
        if len(halving._now) == 1:
            right(halving, error)
        else:
            halving._todo.append(halving._now[: len(halving._now) // 2])

    return failed


def tries_beyond_a_gap(right: Any) -> Any:
    def step(last: int, head: int, *, dense: bool) -> Step:
        return Step.DROP if head <= last else Step.TRY

    return step


def supersedes_nothing(right: Any) -> Any:
    async def supersede(*args: Any) -> None:
        pass

    return supersede


class _OneCount(list[int]):
    """All shares' failures in one number."""

    def __setitem__(self, place: Any, value: Any) -> None:
        for each in range(len(self)):
            super().__setitem__(each, value)


def one_count(right: Any) -> Any:
    def init(stay: Any, *args: Any, **named: Any) -> None:
        right(stay, *args, **named)
        stay._failures = _OneCount(stay._failures)

    return init


# partners ----------------------------------------------------------------------------------------------------------------
def always_new(right: Any) -> Any:
    async def receipt(*args: Any) -> Receipt:
        return Receipt("new")

    return receipt


def settles_nothing(right: Any) -> Any:
    async def settle(*args: Any) -> None:
        pass

    return settle


def nothing_is_newer(right: Any) -> Any:
    async def newest_time(*args: Any) -> None:
        return None

    return newest_time


_committing: set[asyncio.Task[Any]] = set()


def answers_first(right: Any) -> Any:
    async def take_in(intake: Any, items: list[Any], organisation: str, *, only_asked: bool) -> list[dict[str, Any]]:
        answers = await right(intake, items, organisation, only_asked=True)
        if not only_asked:
            task = asyncio.create_task(right(intake, items, organisation, only_asked=False))
            _committing.add(task)
            task.add_done_callback(_committing.discard)
            for answer in answers:
                answer["status"] = "accepted" if answer["status"] == "valid" else answer["status"]
        return answers

    return take_in


# mail --------------------------------------------------------------------------------------------------------------------
def with_new_message_ids(right: Any) -> Any:
    async def claim(*args: Any, **named: Any) -> Any:
        return [replace(mail, message=_renamed(mail.message)) for mail in await right(*args, **named)]

    return claim


def _renamed(message: bytes) -> bytes:
    return re.sub(rb"(?im)^message-id: <[^@>]*", b"Message-ID: <" + str(uuid.uuid4()).encode(), message)
