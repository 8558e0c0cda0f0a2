"""Whatever is running may be killed in the middle of the work, again and again: nothing is lost, and nobody is told twice."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from functools import partial

import httpx

from musubi.embedded_kafka import EmbeddedBroker
from musubi.topics import ALL_TOPICS
from notify.domain.routing import Occasion, whom_to_tell
from notify.offices import SECRETARIAT, offices
from tests.brokers import Broker
from tests.chain import Partner, partner_key, rows, settings_for
from tests.chain_process import ServiceProcess, services_in_a_process
from tests.eventually import eventually
from tests.example_events import example_events
from tests.mailbox import Mailbox
from tests.oracle import Announced, announced, differences
from tests.partner_events import CloudEvent

AT_ONCE = 8
"""Events in one request; small, so that a kill falls between many requests."""
KILLED_WITH_LEFT = (0.7, 0.4, 0.1, 0)
"""Which share of the requests is not answered yet when the process is killed; the last time only inner work is left."""


async def test_killing_the_process_again_and_again_while_the_examples_are_loaded_loses_nothing(
    any_kafka: Broker, postgres: str, smtp: Mailbox
) -> None:
    events = example_events()
    requests = deque(events[n : n + AT_ONCE] for n in range(0, len(events), AT_ONCE))
    in_all = len(requests)

    for left in KILLED_WITH_LEFT:
        async with life(any_kafka, postgres, smtp) as (process, partner):
            loading = asyncio.create_task(load(partner, requests))
            await eventually(partial(remaining, requests, loading), lambda n, most=left * in_all: n <= most, every=0.005)
            await process.kill()
            with suppress(httpx.TransportError):
                await loading
    async with life(any_kafka, postgres, smtp) as (_, partner):
        await load(partner, requests)
        await eventually(lambda: announced(postgres), settled(events), within=90, every=0.5, what="the oracle's lists")
        await eventually(lambda: not_told(postgres), lambda missing: not missing, what="everybody to be told")
        await eventually(lambda: waiting_mails(postgres), lambda waiting: not waiting, within=150, what="all mails to be sent")

    told = await rows(postgres, "notify", "select need_id, recipient_id, offering_id from told")
    assert max(Counter(map(tuple, told)).values()) == 1
    mails = Counter((mail["Message-ID"], mail["To"]) for mail in smtp.messages)
    assert len({id_ for id_, _ in mails}) == len(mails), "one mail went to two addresses"
    sent = await rows(postgres, "notify", "select id from delivery where state = 'sent'")
    assert {id_.strip("<>").partition("@")[0] for id_, _ in mails} == {str(row["id"]) for row in sent}
    assert len(sent) > 100


@asynccontextmanager
async def life(broker: Broker, dsn: str, smtp: Mailbox) -> AsyncIterator[tuple[ServiceProcess, Partner]]:
    """One life of the process with all services, and the partner who speaks to it."""
    with next_life(broker) as now:
        settings = settings_for(dsn, now, "http://127.0.0.1:8600", smtp)
        headers = {"authorization": f"Bearer {await partner_key(dsn)}"}
        async with (
            services_in_a_process(settings, "needs", "catalog", "matching", "notify") as process,
            httpx.AsyncClient(base_url=process.origin, headers=headers, timeout=30) as http,
        ):
            yield process, Partner(http)


@contextmanager
def next_life(broker: Broker) -> Iterator[Broker]:
    """The same real broker; but of the embedded one, which dies with its process, a new incarnation with an empty log."""
    if broker.kind == "real":
        yield broker
        return
    reborn = EmbeddedBroker.with_topics((topic.name, topic.partitions) for topic in ALL_TOPICS)
    try:
        yield replace(broker, address=reborn.address, incarnation=reborn.incarnation, embedded=reborn)
    finally:
        reborn.stop()


async def load(partner: Partner, requests: deque[list[CloudEvent]]) -> None:
    """What a careful partner does: a request is done when it was answered; until then it is sent again as it was."""
    while requests:
        await partner.publish_accepted(*requests[0])
        requests.popleft()


async def remaining(requests: deque[list[CloudEvent]], loading: asyncio.Task[None]) -> int:
    """How many requests are not answered yet; raises what the loading failed of."""
    if loading.done():
        loading.result()
    return len(requests)


def settled(events: list[CloudEvent]) -> Callable[[Announced], bool]:
    """Whether all needs and offerings were announced and every shortlist is the oracle's."""
    kinds = Counter(event["type"].partition(".")[0] for event in events)

    def is_settled(seen: Announced) -> bool:
        amounts = (len(seen.needs), len(seen.offerings))
        return amounts == (kinds["need"], kinds["offering"]) and not differences(seen)

    return is_settled


async def waiting_mails(dsn: str) -> int:
    """How many mails are still to be sent. Those that a killed process held are free again after their lease of two minutes."""
    return len(await rows(dsn, "notify", "select from delivery where state in ('to_compose', 'due')"))


async def not_told(dsn: str) -> set[tuple[str, str, str]]:
    """Who should have been told of a match by the rules and was not: need, recipient, offering."""
    expected = {
        (need_id, told.recipient.id, match.offering_id)
        for need_id, shortlist in (await announced(dsn)).shortlists.items()
        if shortlist.need.status == "open"
        for match in shortlist.matches
        for told in whom_to_tell(Occasion(shortlist.need, match, offices(), SECRETARIAT))
    }
    told = await rows(dsn, "notify", "select need_id, recipient_id, offering_id from told")
    return expected - {(row["need_id"], row["recipient_id"], row["offering_id"]) for row in told}
