"""Signing in and out, and who is shut out: through the pages, on real PostgreSQL."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import asyncpg
import httpx
import pytest

from common.access import identity
from common.access.permissions import Role
from tests.common.sample_app import ORIGIN, Sample, sample

OFFICE = {"en": "JETRO Hanoi", "ja": "ジェトロ ハノイ事務所"}
DESK = {"en": "Trade desk", "ja": "貿易担当"}


@pytest.fixture
async def edge(postgres: str) -> AsyncIterator[Sample]:
    async with sample(postgres) as edge:
        yield edge


async def _account(edge: Sample, language: str = "en") -> UUID:
    async with identity.writing(edge.dsn) as tx:
        await identity.record_organisation(tx, "jetro-hanoi", "office", OFFICE, now=edge.clock())
        return await identity.account_of(tx, "jetro-hanoi", Role.OFFICE, names=DESK, language=language, now=edge.clock())


async def _link(edge: Sample, account: UUID) -> str:
    async with identity.writing(edge.dsn) as tx:
        return "/sign-in/" + await identity.issue_sign_in_link(tx, account, now=edge.clock())


async def _signed_in(edge: Sample, caller: httpx.AsyncClient, language: str = "en") -> UUID:
    account = await _account(edge, language)
    answer = await caller.post(await _link(edge, account))
    assert answer.status_code == 303
    return account


async def test_a_link_shows_whom_it_makes_you_and_looking_does_not_use_it_up(edge: Sample) -> None:
    link = await _link(edge, await _account(edge))
    async with edge.caller({"accept-language": "en"}) as caller:
        first, second = await caller.get(link), await caller.get(link)
    for page in (first, second):
        assert page.status_code == 200
        assert "JETRO Hanoi" in page.text
        assert "Trade desk" in page.text
        assert f'action="{link}"' in page.text


async def test_a_link_signs_in_once_and_says_so_the_second_time(edge: Sample) -> None:
    link = await _link(edge, await _account(edge))
    async with edge.caller() as caller, edge.caller({"accept-language": "en"}) as thief:
        first = await caller.post(link)
        inbox = await caller.get("/own-inbox")
        second, looked_at = await thief.post(link), await thief.get(link)
        refused = await thief.get("/own-inbox")
    assert (first.status_code, first.headers["location"]) == (303, "/")
    assert inbox.json() == {"organisation": "jetro-hanoi", "role": "office", "language": "en"}
    assert second.status_code == looked_at.status_code == 410
    assert "has been used" in second.text
    assert refused.status_code == 401


async def test_of_two_who_use_a_link_at_the_same_moment_one_gets_in(edge: Sample) -> None:
    token = (await _link(edge, await _account(edge))).removeprefix("/sign-in/")
    async with identity.writing(edge.dsn) as one:
        await identity.use_sign_in_link(one, token, now=edge.clock())
        two = await asyncpg.connect(edge.dsn)
        try:
            await two.execute("SET lock_timeout = '200ms'")
            with pytest.raises(asyncpg.LockNotAvailableError):
                await identity.use_sign_in_link(two, token, now=edge.clock())
        finally:
            await two.close()
    async with identity.writing(edge.dsn) as later:
        with pytest.raises(identity.NotFound):
            await identity.use_sign_in_link(later, token, now=edge.clock())


async def test_a_link_expires_after_a_day_and_the_page_says_how_to_get_another(edge: Sample) -> None:
    link = await _link(edge, await _account(edge))
    edge.clock.pass_by(timedelta(hours=24))
    async with edge.caller({"accept-language": "en"}) as caller:
        looked_at, used = await caller.get(link), await caller.post(link)
    assert looked_at.status_code == used.status_code == 410
    assert "has expired" in used.text
    assert 'href="/sign-in"' in used.text


async def test_an_unknown_link_is_explained(edge: Sample) -> None:
    async with edge.caller({"accept-language": "en"}) as caller:
        page = await caller.get("/sign-in/nonesuch")
        how = await caller.get("/sign-in")
    assert page.status_code == 404
    assert "no such sign-in link" in page.text
    assert "musubi links" in how.text


async def test_signing_out_ends_the_session_for_whoever_holds_its_cookie(edge: Sample) -> None:
    async with edge.caller() as caller, edge.caller() as copy:
        await _signed_in(edge, caller)
        copy.cookies = httpx.Cookies(caller.cookies)
        assert (await copy.get("/own-inbox")).status_code == 200
        assert (await caller.post("/sign-out", headers={"origin": ORIGIN})).status_code == 303
        assert "musubi" not in caller.cookies
        assert (await copy.get("/own-inbox")).status_code == 401


async def test_a_session_lasts_twelve_hours(edge: Sample) -> None:
    async with edge.caller() as caller:
        await _signed_in(edge, caller)
        edge.clock.pass_by(timedelta(hours=12) - timedelta(seconds=1))
        assert (await caller.get("/own-inbox")).status_code == 200
        edge.clock.pass_by(timedelta(seconds=1))
        assert (await caller.get("/own-inbox")).status_code == 401


async def test_a_deactivated_account_is_out_with_its_next_request_and_its_links_are_worth_nothing(edge: Sample) -> None:
    async with edge.caller() as caller:
        account = await _signed_in(edge, caller)
        link = await _link(edge, account)
        async with identity.writing(edge.dsn) as tx:
            await identity.deactivate_account(tx, account, now=edge.clock())
        assert (await caller.get("/own-inbox")).status_code == 401
        assert (await caller.post(link)).status_code == 410


async def test_signing_in_again_ends_the_session_before(edge: Sample) -> None:
    async with edge.caller() as caller, edge.caller() as before:
        account = await _signed_in(edge, caller)
        before.cookies = httpx.Cookies(caller.cookies)
        await caller.post(await _link(edge, account))
        assert (await caller.get("/own-inbox")).status_code == 200
        assert (await before.get("/own-inbox")).status_code == 401


async def test_a_signed_in_reader_sees_their_organisation_in_their_language_and_nothing_is_stored(edge: Sample) -> None:
    async with edge.caller() as caller:
        await _signed_in(edge, caller, language="en")
        page = await caller.get("/page", headers={"accept-language": "ja"})
    assert '<html lang="en">' in page.text
    assert "JETRO Hanoi" in page.text
    assert page.headers["cache-control"] == "no-store"


async def test_the_cookie_cannot_be_read_by_scripts_or_sent_along_by_other_sites(edge: Sample) -> None:
    link = await _link(edge, await _account(edge))
    async with edge.caller() as caller:
        cookie = (await caller.post(link)).headers["set-cookie"]
    assert cookie.startswith("musubi=")
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie


@pytest.mark.parametrize(
    ("client", "headers"),
    [(("192.0.2.7", 5000), {}), (("127.0.0.1", 5000), {"x-forwarded-for": "192.0.2.7"})],
)
async def test_a_link_works_from_this_machine_only(edge: Sample, client: tuple[str, int], headers: dict[str, str]) -> None:
    link = await _link(edge, await _account(edge))
    async with edge.caller({**headers, "accept-language": "en"}, client=client) as caller:
        looked_at, used = await caller.get(link), await caller.post(link)
    assert looked_at.status_code == used.status_code == 403
    assert "on the machine" in used.text


async def test_where_local_sign_in_is_off_a_link_is_refused_and_the_page_says_that_there_are_none(postgres: str) -> None:
    async with sample(postgres, local_sign_in=False) as edge:
        link = await _link(edge, await _account(edge))
        async with edge.caller({"accept-language": "en"}) as caller:
            assert (await caller.post(link)).status_code == 403
            assert "no one-time links" in (await caller.get("/sign-in")).text


async def test_under_https_the_cookie_is_tied_to_this_host(postgres: str) -> None:
    async with sample(postgres, public_origin="https://musubi.example") as edge:
        link = await _link(edge, await _account(edge))
        async with edge.caller() as caller:
            cookie = (await caller.post(link)).headers["set-cookie"]
    assert cookie.startswith("__Host-musubi=")
    assert "Secure" in cookie
    assert "Path=/" in cookie


async def test_a_partners_key_speaks_for_its_organisation_until_it_is_revoked(edge: Sample) -> None:
    async with identity.writing(edge.dsn) as tx:
        await identity.record_organisation(tx, "examples", "partner", {"en": "Examples"}, now=edge.clock())
        key = await identity.create_api_key(tx, "examples", now=edge.clock())
    async with edge.caller({"authorization": f"Bearer {key}"}) as partner:
        accepted = await partner.post("/api/catalog/v1/events")
        inbox = await partner.get("/own-inbox")
        async with identity.writing(edge.dsn) as tx:
            await identity.revoke_api_key(tx, key, now=edge.clock())
        refused = await partner.post("/api/catalog/v1/events")
    assert accepted.json()["organisation"] == "examples"
    assert inbox.status_code == 403
    assert refused.status_code == 401


async def test_the_callers_trace_goes_on_into_what_is_announced(edge: Sample) -> None:
    async with identity.writing(edge.dsn) as tx:
        await identity.record_organisation(tx, "examples", "partner", {"en": "Examples"}, now=edge.clock())
        key = await identity.create_api_key(tx, "examples", now=edge.clock())
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    traceparent = f"00-{trace_id}-00f067aa0ba902b7-01"
    async with edge.caller({"authorization": f"Bearer {key}", "traceparent": traceparent}) as partner:
        announced = (await partner.post("/api/catalog/v1/events")).json()["trace"]
    (span,) = edge.spans.get_finished_spans()
    assert span.context is not None
    assert announced == f"00-{trace_id}-{span.context.span_id:016x}-01"


async def test_nothing_secret_lies_in_the_database_in_clear(edge: Sample) -> None:
    async with edge.caller() as caller:
        await _signed_in(edge, caller)
        cookie = caller.cookies["musubi"]
    async with identity.writing(edge.dsn) as tx:
        rows = await tx.fetch(
            "SELECT s::text AS row FROM identity.session s UNION ALL SELECT l::text FROM identity.sign_in_link l"
        )
    assert rows
    assert not any(cookie in row["row"] for row in rows)


async def test_a_service_may_look_at_the_views_and_touch_nothing(edge: Sample) -> None:
    role = "service_" + edge.dsn.rpartition("test_")[2][:16]
    async with identity.writing(edge.dsn) as tx:
        await tx.execute(f"CREATE ROLE {role}")
        await tx.execute(f"SET LOCAL ROLE {role}")
        assert await tx.fetch("SELECT * FROM identity.live_sessions") == []
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with tx.transaction():
                await tx.execute("UPDATE identity.account SET role = 'operator'")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with tx.transaction():
                await tx.fetch("SELECT * FROM identity.session")
        await tx.execute("RESET ROLE")
        await tx.execute(f"DROP ROLE {role}")
