"""Signing in at a provider, step by step over HTTP: who gets in, where they land, and what is refused."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import asyncpg
import httpx
import pytest
import pytest_asyncio
from joserfc import jwt
from joserfc.jwk import RSAKey

from common.access import attempts, identity, people
from common.access.permissions import Role
from common.web.addresses import own_address
from musubi.embedded_postgres import EmbeddedPostgres
from tests import identity_provider
from tests.browser.site import fresh_database
from tests.common.sample_app import ORIGIN, Sample, sample
from tests.common.test_web import Notes
from tests.eventually import eventually
from tests.identity_provider import IdentityProvider

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:authlib"),  # the provider's own library
]
ADDRESS = "yamada@city.example"
CITY = {"en": "City of Kamakura", "ja": "鎌倉市"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def house(postgres_server: EmbeddedPostgres) -> AsyncIterator[tuple[Sample, IdentityProvider]]:
    """Musubi and the provider, for all tests here."""
    with identity_provider.running() as provider:
        async with (
            fresh_database(postgres_server) as dsn,
            sample(dsn, local_sign_in=False, **provider.settings) as edge,
        ):
            yield edge, provider


@pytest.fixture
def provider(house: tuple[Sample, IdentityProvider]) -> IdentityProvider:
    """It knows one person; new keys."""
    provider = house[1]
    provider.people, provider.replace, provider.away = {}, None, False
    provider.tokens.clear()
    provider.change_keys()
    provider.knows("s-1", ADDRESS)
    return provider


@pytest_asyncio.fixture(loop_scope="session")
async def edge(house: tuple[Sample, IdentityProvider], provider: IdentityProvider) -> Sample:
    """Nobody has an account."""
    edge = house[0]
    edge.clock.now = datetime.now(UTC)  # the provider's is the machine's
    async with identity.writing(edge.dsn) as tx:
        await tx.execute("TRUNCATE identity.organisation, identity.sign_in_attempt CASCADE")
    return edge


async def _invited(edge: Sample, email: str = ADDRESS) -> None:
    async with identity.writing(edge.dsn) as tx:
        await identity.record_organisation(tx, "kamakura", "municipality", CITY, now=edge.clock())
        assert await people.invite(tx, email, "kamakura", Role.OFFICER, names=CITY, language="ja", now=edge.clock())


async def _begun(caller: httpx.AsyncClient, wanted: str = "/own-inbox") -> str:
    """The address of the provider's page."""
    answer = await caller.get("/sign-in/start", params={"next": wanted})
    assert answer.status_code == 303
    return answer.headers["location"]


async def _let_in(page: str, subject: str = "s-1") -> str:
    """The address to which the provider sends them back."""
    async with httpx.AsyncClient() as browser:
        answer = await browser.post(page, data={"sub": subject})
    assert answer.status_code == 302
    return answer.headers["location"]


async def _signed_in(caller: httpx.AsyncClient, subject: str = "s-1", wanted: str = "/own-inbox") -> httpx.Response:
    return await caller.get(await _let_in(await _begun(caller, wanted), subject))


def _why(answer: httpx.Response) -> str:
    """Why somebody is sent to the page that says that they are not signed in; empty where they are."""
    where = urlsplit(answer.headers["location"])
    return parse_qs(where.query)["why"][0] if where.path == "/sign-in/failed" else ""


async def test_an_invited_person_lands_where_they_wanted_with_a_session_of_ours(edge: Sample) -> None:
    await _invited(edge, f"  {ADDRESS.upper()} ")
    async with edge.caller() as caller:
        answer = await _signed_in(caller, wanted="/own-inbox?state=unread")
        inbox = await caller.get(answer.headers["location"])
    assert (answer.status_code, answer.headers["location"]) == (303, "/own-inbox?state=unread")
    assert inbox.json() == {"organisation": "kamakura", "role": "officer", "language": "ja"}


async def test_the_way_to_the_provider_carries_what_binds_the_answer_to_it(edge: Sample, provider: IdentityProvider) -> None:
    async with edge.caller() as caller:
        first, second = [parse_qs(urlsplit(await _begun(caller)).query) for _ in range(2)]
    assert first["response_type"] == ["code"] and first["code_challenge_method"] == ["S256"]
    assert first["redirect_uri"] == [f"{ORIGIN}/sign-in/callback"]
    assert all(first[name] != second[name] for name in ("state", "nonce", "code_challenge"))


async def test_what_the_browser_keeps_meanwhile_is_for_us_alone_and_what_is_over_is_forgotten(
    edge: Sample, provider: IdentityProvider
) -> None:
    origin = "https://musubi.example"
    async with sample(edge.dsn, public_origin=origin, local_sign_in=False, **provider.settings) as other:
        async with other.caller(at=origin) as caller:
            kept = (await caller.get("/sign-in/start")).headers["set-cookie"]
        assert kept.startswith("__Host-musubi_signing_in=") and "domain" not in kept.lower()
        assert {"HttpOnly", "Secure", "SameSite=lax", "Path=/", "Max-Age=600"} <= set(kept.split("; "))
        other.clock.now = edge.clock() + attempts.LIVES
        async with other.caller(at=origin) as caller:
            await caller.get("/sign-in/start")
    async with identity.writing(edge.dsn) as tx:
        assert await tx.fetchval("SELECT count(*) FROM identity.sign_in_attempt") == 1


async def test_the_same_name_at_another_provider_is_somebody_else(edge: Sample) -> None:
    await _invited(edge)
    here = people.Identified("https://here.example", "s-1", ADDRESS, True)
    async with identity.writing(edge.dsn) as tx:
        assert await people.account_for(tx, here) == await people.account_for(tx, here)
        assert await people.account_for(tx, replace(here, issuer="https://there.example")) == "not-registered"


async def test_after_the_first_time_the_providers_own_name_counts_and_not_the_address(
    edge: Sample, provider: IdentityProvider
) -> None:
    await _invited(edge)
    async with edge.caller() as caller, edge.caller() as successor:
        assert _why(await _signed_in(caller)) == ""
        provider.knows("s-1", "married@city.example")
        provider.knows("s-2", ADDRESS)  # who has the address now
        assert _why(await _signed_in(successor, "s-2")) == "not-registered"
        assert _why(await _signed_in(caller)) == ""


async def test_an_answer_is_good_once_in_its_own_browser_and_for_ten_minutes(edge: Sample) -> None:
    await _invited(edge)
    async with edge.caller() as caller, edge.caller() as victim:
        answer = await _let_in(await _begun(caller))
        assert _why(await victim.get(answer)) == "begin-again"
        await _begun(victim)
        assert _why(await victim.get(answer)) == "begin-again"
        assert "musubi" not in victim.cookies
        kept = httpx.Cookies(caller.cookies)
        assert _why(await caller.get(answer)) == ""
        caller.cookies = kept
        assert _why(await caller.get(answer)) == "begin-again"
        late = await _let_in(await _begun(caller))
        edge.clock.pass_by(attempts.LIVES)
        assert _why(await caller.get(late)) == "begin-again"


async def test_a_cookie_that_another_host_of_the_domain_can_set_signs_nobody_in(edge: Sample) -> None:
    await _invited(edge)
    async with edge.caller() as attacker, edge.caller() as victim:
        await _signed_in(attacker)
        session = attacker.cookies["musubi"].encode()
        answer = await _let_in(await _begun(attacker))
        attempt = attacker.cookies["musubi_signing_in"].encode()
        for before in (b"\x85", b"\xa0"):  # to a browser a part of the name, so that it may be set for the whole domain
            tossed = await victim.get(answer, headers=[(b"cookie", before + b"musubi_signing_in=" + attempt)])
            assert _why(tossed) == "begin-again"
            tossed = await victim.get("/own-inbox", headers=[(b"cookie", before + b"musubi=" + session)])
            assert tossed.status_code == 401
        own = b"musubi=" + session
        twice = await victim.get("/own-inbox", headers=[(b"cookie", own + b"; musubi=another")])
        alone = await victim.get("/own-inbox", headers=[(b"cookie", b"a=b; " + own)])
    assert (twice.status_code, alone.status_code) == (401, 200)


async def test_a_new_session_ends_the_one_that_the_browser_had(edge: Sample) -> None:
    await _invited(edge)
    async with edge.caller() as caller, edge.caller() as before:
        await _signed_in(caller)
        before.cookies = httpx.Cookies(caller.cookies)
        await _signed_in(caller)
        assert (await caller.get("/own-inbox")).status_code == 200
        assert (await before.get("/own-inbox")).status_code == 401


async def test_keys_that_the_provider_changed_are_fetched(edge: Sample, provider: IdentityProvider) -> None:
    await _invited(edge)
    async with edge.caller() as caller:
        assert _why(await _signed_in(caller)) == ""
        provider.change_keys()
        assert _why(await _signed_in(caller)) == ""


async def test_a_token_that_was_forged_has_expired_or_was_another_sign_ins_lets_nobody_in(
    edge: Sample, provider: IdentityProvider
) -> None:
    await _invited(edge)
    async with edge.caller() as caller:
        await _signed_in(caller)
    earlier, forger = provider.tokens[0], RSAKey.generate_key(2048)
    async with edge.caller() as caller:
        provider.replace = lambda token: _signed_by(forger, token)
        assert _why(await _signed_in(caller)) == "token-not-trusted"
        provider.replace = lambda token: earlier
        assert _why(await _signed_in(caller)) == "token-not-trusted"
        provider.replace = None
        provider.change_keys(lives=-timedelta(minutes=2))
        assert _why(await _signed_in(caller)) == "token-not-trusted"
        assert "musubi" not in caller.cookies


def _signed_by(key: RSAKey, token: str) -> str:
    """What a token says, under somebody else's signature."""
    header, payload, _ = token.split(".")
    read = identity_provider.read_part
    return jwt.encode({"alg": "RS256", **read(header)}, read(payload), key)


async def test_who_has_no_account_is_told_why_and_how_to_get_one(edge: Sample, provider: IdentityProvider) -> None:
    await _invited(edge)
    provider.knows("s-2", "suzuki@city.example")
    provider.knows("s-3", ADDRESS, verified=False)
    provider.knows("s-4", ADDRESS, verified=None)
    provider.knows("s-5", "")
    async with edge.caller({"accept-language": "en"}) as caller:
        answers = {subject: await _signed_in(caller, subject) for subject in ("s-2", "s-3", "s-4", "s-5")}
        page = await caller.get(answers["s-2"].headers["location"])
    unverified = "email-not-verified"
    assert [_why(answer) for answer in answers.values()] == ["not-registered", unverified, unverified, "no-email"]
    assert page.status_code == 403
    assert 'href="/sign-in/start?next=%2Fown-inbox&amp;other=1"' in page.text
    assert "suzuki" not in page.text


async def test_who_is_removed_is_out_at_once_and_may_be_invited_again(edge: Sample) -> None:
    await _invited(edge)
    async with edge.caller() as caller:
        await _signed_in(caller)
        async with identity.writing(edge.dsn) as tx:
            assert await people.remove(tx, ADDRESS, now=edge.clock())
        assert (await caller.get("/own-inbox")).status_code == 401
        assert _why(await _signed_in(caller)) == "shut-out"
        await _invited(edge)
        assert _why(await _signed_in(caller)) == ""


async def test_of_two_who_invite_the_same_address_at_once_one_is_told_that_it_has_an_account(edge: Sample) -> None:
    async def invited(tx: asyncpg.Connection, organisation: str) -> bool:
        return await people.invite(tx, ADDRESS, organisation, Role.OFFICER, names=CITY, language="ja", now=edge.clock())

    async with identity.writing(edge.dsn) as later:
        async with identity.writing(edge.dsn) as tx:
            for organisation in ("kamakura", "zushi"):
                await identity.record_organisation(tx, organisation, "municipality", CITY, now=edge.clock())
        async with identity.writing(edge.dsn) as first:
            assert await invited(first, "kamakura")
            waiting = asyncio.create_task(invited(later, "zushi"))

            async def waits() -> bool:
                return bool(await first.fetchval("SELECT 1 FROM pg_locks WHERE NOT granted AND pid = $1", its_process))

            its_process = later.get_server_pid()
            await eventually(waits)
        assert not await waiting


async def test_a_provider_that_is_away_or_says_no_is_explained_and_only_the_log_says_why(
    edge: Sample, provider: IdentityProvider
) -> None:
    notes = Notes()
    edge.service.telemetry.log.addHandler(notes)
    await _invited(edge)
    async with edge.caller({"accept-language": "en"}) as caller:
        state = parse_qs(urlsplit(await _begun(caller)).query)["state"][0]
        strange = await caller.get(
            "/sign-in/callback", params={"state": state, "error": "<b>pay me</b>", "error_description": "now"}
        )
        refused = await caller.get((await _let_in(await _begun(caller))).replace("code=", "code=x"))
        address = await _let_in(await _begun(caller))
        provider.away = True
        away = await caller.get(address)
        page = await caller.get(away.headers["location"])
    assert (_why(strange), _why(refused), _why(away)) == ("provider-refused", "provider-refused", "provider-away")
    assert page.status_code == 503 and "could not be reached" in page.text
    assert "pay" not in strange.headers["location"]
    said = [record.__dict__["why"] for record in notes.records]
    assert said == ["an unknown error", "status 400, invalid_grant", "status 503"]
    assert ADDRESS not in str([record.__dict__ for record in notes.records])


async def test_many_who_begin_at_once_take_few_of_the_databases_connections(
    edge: Sample, provider: IdentityProvider, postgres_server: EmbeddedPostgres
) -> None:
    async with identity.writing(edge.dsn) as tx:
        await tx.execute(f"CREATE ROLE few LOGIN CONNECTION LIMIT {2 * identity.WRITERS}")  # one that ends still counts
        await tx.execute("GRANT USAGE ON SCHEMA identity TO few; GRANT ALL ON ALL TABLES IN SCHEMA identity TO few")
    few = postgres_server.dsn(urlsplit(edge.dsn).path.strip("/"), "few")
    async with (
        sample(edge.dsn, local_sign_in=False, identity_postgres=few, **provider.settings) as crowded,
        crowded.caller() as caller,
    ):
        answers = await asyncio.gather(*(caller.get("/sign-in/start") for _ in range(40)))
    async with identity.writing(edge.dsn) as tx:
        await tx.execute("DROP OWNED BY few; DROP ROLE few")
    assert {(answer.status_code, _why(answer)) for answer in answers} == {(303, "")}


async def test_another_sites_page_begins_no_sign_in_and_leads_nobody_away(edge: Sample) -> None:
    await _invited(edge)
    async with edge.caller() as caller:
        foreign = await caller.get("/sign-in/start?next=/needs", headers={"sec-fetch-site": "cross-site"})
        assert foreign.headers["location"] == "/sign-in?next=%2Fneeds"
        assert (await _signed_in(caller, wanted="//attacker.example")).headers["location"] == "/"
    foreign = [
        "//attacker.example",
        "https://attacker.example",
        "/\\attacker.example",
        "/sign-out",
        "/a\r\nb: c",
        "x",
        "",
        "/" * 3,
    ]
    assert {own_address(wanted) for wanted in foreign} == {"/"}
    assert own_address("/needs?country=VN&page=2") == "/needs?country=VN&page=2"


async def test_the_page_offers_the_provider_and_a_refusal_leads_there_and_back(edge: Sample) -> None:
    async with edge.caller({"accept-language": "en"}) as caller:
        refusal = await caller.get("/own-inbox?page=2")
        page = await caller.get("/sign-in?next=%2Fown-inbox%3Fpage%3D2")
        assert (await caller.post("/sign-out", headers={"origin": ORIGIN})).headers["location"] == "/sign-out"
        out = await caller.get("/sign-out")
    assert 'href="/sign-in?next=%2Fown-inbox%3Fpage%3D2"' in refusal.text
    assert 'href="/sign-in/start?next=%2Fown-inbox%3Fpage%3D2"' in page.text
    assert "/oauth2/end_session?client_id=musubi" in out.text
