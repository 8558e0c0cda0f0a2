"""What operators see of a service with two consumer groups: what either holds, to be mended there, and how far each has come."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx
import pytest

from common.access import identity
from common.access.permissions import Role
from common.operating import parked_pages
from common.telemetry import OLDEST_UNPROCESSED, PARKED
from common.web import application as web
from tests.brokers import Broker, FreshTopics
from tests.common.hop import looking_at, until
from tests.common.shared_work import ASKS, BIDS, NOTES, TOPICS, Ask, Member, NoteMade

ORIGIN = "http://127.0.0.1:8600"


@pytest.fixture
async def member(postgres: str, kafka: Broker, fresh_topics: FreshTopics) -> AsyncIterator[Member]:
    """The service, in which each group holds one event that failed for good."""
    fresh_topics(kafka, [*TOPICS.values()])
    member = Member(postgres, kafka, "trial").takes(NoteMade).takes_groups()
    await identity.prepare(postgres)
    async with member.service.lifespan(), looking_at(postgres, "trial") as seen:
        await until(lambda: all(member.service.readiness().values()))
        await member.emit(Ask(key="solar/1", said="poison"), NoteMade(key="n", said="poison"))

        async def both_wait() -> bool:
            return len(await seen.parked()) == 2

        await until(both_wait)
        await seen.connection.execute("update parked set next_try = 'infinity'")
        await seen.cure("poison")
        yield member


async def test_operators_see_what_both_groups_hold_and_mend_it_where_it_is(postgres: str, member: Member) -> None:
    app = web.application(member.service)
    app.include_router(parked_pages.routes(member.service, topics=member.topics))
    async with identity.writing(postgres) as tx:
        now = datetime.now(UTC)
        await identity.record_organisation(tx, "o", "operator", {"en": "Operators", "ja": "運用"}, now=now)
        account = await identity.create_account(
            tx, "o", Role.OPERATOR, names={"en": "Somebody", "ja": "担当"}, language="en", now=now
        )
        session = await identity.begin_session(tx, account, now=now)
    transport = httpx.ASGITransport(app=app)
    headers = {"Accept-Language": "en", "Origin": ORIGIN}
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN, cookies={"musubi": session}, headers=headers) as caller:
        overview = (await caller.get("/trial/parked")).text
        assert "ask.made.v1" in overview
        assert "note.made.v1" in overview
        which = {"topic": ASKS, "key": "solar/1", "sequence": 1}
        assert (await caller.get("/trial/parked/event", params=which)).status_code == 200
        done = await caller.post("/trial/parked/event", params=which, data={"verb": "retry", "reason": "it is mended"})
        assert done.status_code == 303, done.text[:2000]
        await until(lambda: member.worked == {ASKS: ["solar/1"]})
        assert "solar/1" in (await caller.get(done.headers["location"])).text


async def test_how_old_what_waits_is_and_how_much_is_held_is_told_of_both_groups(member: Member) -> None:
    freshness, registry = member.service._freshness, member.service.telemetry.registry
    await asyncio.sleep(0.1)
    await freshness._look_at_held()
    await freshness.look_at_log()
    for group, topic in (("trial", NOTES), ("trial-groups", ASKS), ("trial-groups", BIDS)):
        assert registry.get_sample_value(OLDEST_UNPROCESSED, {"group": group, "topic": topic}) == 0
    assert registry.get_sample_value(OLDEST_UNPROCESSED, {"group": "trial", "topic": ASKS}) is None
    assert registry.get_sample_value(PARKED, {"reason": "dead"}) == 2
