"""Cities, companies, offices and the secretariat say what becomes of a match: on pages, as JSON, and as events."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from common.access.permissions import Action, Role, reach
from common.contracts.matching import FeedbackGiven
from common.exact_json import load
from matching.domain.facets import WEIGHTS
from matching.domain.feedback import WORDS
from matching.giving_feedback import KINDS
from tests.matching.pairs import CITY_ID, COMPANY_ID, NEED_ID, OFFERING_ID, need_fact, offering_fact
from tests.matching.running import Site, words_of
from tests.matching.test_announcing import other

MATCH = f"/matching/needs/{NEED_ID}/offerings/{OFFERING_ID}"
FEEDBACK = f"{MATCH}/feedback"
API = f"/api/matching/v1/feedback/{NEED_ID}/{OFFERING_ID}"
STRANGER = "0a3c7d4e-0000-4000-8000-00000000ffff"
OTHERS = {Role.OFFICER: CITY_ID, Role.COMPANY: COMPANY_ID, Role.OFFICE: "jetro-hanoi", Role.SECRETARIAT: "secretariat"}


async def announced(site: Site) -> list[FeedbackGiven]:
    """Every word that was announced, in order."""
    async with site.matching.database.reading() as tx:
        rows = await tx.fetch("select body from outbox where topic = 'matching.feedback' order by batch, n")
    return [load(FeedbackGiven, row["body"]) for row in rows]


async def say(somebody: httpx.AsyncClient, word: str, **more: str) -> httpx.Response:
    """By the form of the page."""
    return await somebody.post(FEEDBACK, data={"word": word, **more})


async def put(somebody: httpx.AsyncClient, body: Any) -> httpx.Response:
    return await somebody.put(API, content=json.dumps(body))


def test_whoever_may_speak_speaks_as_some_kind_of_organisation() -> None:
    assert {role for role in Role if reach(role, Action.GIVE_FEEDBACK)} == set(KINDS)
    assert set(KINDS.values()) == set(WORDS)


async def test_a_city_s_interest_is_written_down_shown_beside_the_score_and_announced(site: Site) -> None:
    await site.matching.take(need_fact(), offering_fact(), other("b", lead_time_days=170))
    city = await site.reader(Role.OFFICER, CITY_ID)
    assert "Nobody has said anything of this proposal yet." in words_of((await city.get(MATCH)).text)
    answer = await say(city, "interested")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{MATCH}#said")
    page = words_of((await city.get(MATCH)).text)
    assert f"{CITY_ID} interested 24 Nov 2026" in page
    assert "then place 1, 94 points" in page
    assert "Take back what we said" in page
    assert "We are interested" not in page
    assert "94 / 100 interest" in words_of((await city.get(f"/matching/needs/{NEED_ID}")).text)
    japanese = words_of((await city.get(f"{MATCH}?lang=ja")).text)
    assert "関心あり" in japanese
    assert "当時1位・94点" in japanese.replace(" ", "")
    (fact,) = await announced(site)
    assert fact.subject == f"{NEED_ID}/{OFFERING_ID}"
    assert (fact.municipality_id, fact.company_id, fact.technology) == (CITY_ID, COMPANY_ID, "lighting.street_led")
    assert (fact.said.word, fact.said.place, fact.said.score, fact.said.weights) == ("interested", 1, 94, WEIGHTS)
    assert (fact.outcome, fact.standing) == ("interested", [fact.said])


async def test_declining_asks_for_a_reason_and_keeps_what_was_typed(site: Site) -> None:
    await site.matching.take(need_fact(), offering_fact())
    city = await site.reader(Role.OFFICER, CITY_ID)
    refused = await say(city, "declined", note="Two years of warranty at most")
    assert refused.status_code == 422
    assert "so nothing was written down" in refused.text
    assert "Choose the reason that comes nearest." in refused.text
    assert "Two years of warranty at most</textarea>" in refused.text
    assert 'value="declined" checked' in refused.text
    assert await announced(site) == []
    assert (await say(city, "declined", reason="delivery", note="<b>Line 1\r\nLine 2")).status_code == 303
    page = (await city.get(MATCH)).text
    assert "The delivery date cannot be met. " in words_of(page)
    assert "&lt;b&gt;Line 1\nLine 2" in page
    (fact,) = await announced(site)
    assert (fact.said.reason, fact.said.note, fact.outcome) == ("delivery", "<b>Line 1\nLine 2", "declined")


async def test_a_reason_still_chosen_beside_another_answer_means_nothing_on_the_form(site: Site) -> None:
    await site.matching.take(need_fact(), offering_fact())
    city = await site.reader(Role.OFFICER, CITY_ID)
    assert (await say(city, "interested", reason="price")).status_code == 303
    assert [one.said.reason for one in await announced(site)] == [None]


async def test_double_clicks_and_retries_do_no_harm(site: Site) -> None:
    await site.matching.take(need_fact(), offering_fact())
    city = await site.reader(Role.OFFICER, CITY_ID)
    assert (await say(city, "taken_back")).status_code == 303  # there is nothing to take back
    answers = await asyncio.gather(
        *(say(city, "interested") for _ in range(6)), *(put(city, {"word": "interested"}) for _ in range(2))
    )
    assert [one.status_code for one in answers] == [303] * 6 + [200] * 2
    assert [one.said.word for one in await announced(site)] == ["interested"]
    for _ in range(2):
        await say(city, "taken_back")
    assert [(one.said.word, one.outcome) for one in await announced(site)] == [("interested", "interested"), ("taken_back", None)]


async def test_two_who_speak_at_once_are_both_heard_and_the_last_event_knows_of_both(site: Site) -> None:
    await site.matching.take(need_fact(), offering_fact())
    speakers = [await site.reader(role, organisation) for role, organisation in OTHERS.items()]
    said = ("interested", "interested", "introduced", "introduced")  # an award would stand only if the city spoke before it
    await asyncio.gather(*(say(who, word) for who, word in zip(speakers, said, strict=True)))
    facts = await announced(site)
    assert [len(one.standing) for one in facts] == [1, 2, 3, 4]
    assert facts[-1].outcome == "introduced"
    async with site.matching.database.reading() as tx:
        versions = [row[0] for row in await tx.fetch("select distinct key from outbox where topic = 'matching.feedback'")]
    assert versions == [f"{NEED_ID}/{OFFERING_ID}"]


async def test_somebody_who_thinks_again_is_counted_once_and_what_was_said_stays_readable(site: Site) -> None:
    await site.matching.take(need_fact(), offering_fact())
    city, company = await site.reader(Role.OFFICER, CITY_ID), await site.reader(Role.COMPANY, COMPANY_ID)
    await say(company, "interested")
    await say(city, "declined", reason="price")
    assert "94 / 100 one side declined" in words_of((await city.get(f"/matching/needs/{NEED_ID}")).text)
    await say(city, "interested")
    page = words_of((await company.get(FEEDBACK)).text)
    now, _, earlier = page.partition("Earlier words, which count no more")
    assert "The price is too high" not in now
    assert "declined The price is too high." in earlier
    read = (await company.get(API)).json()
    assert read["outcome"] == "interested"
    assert [(one["kind"], one["word"]) for one in read["standing"]] == [("municipality", "interested"), ("company", "interested")]
    assert [one["word"] for one in read["history"]] == ["interested", "declined", "interested"]
    assert "said_by" not in str(read)
    assert read["may_say"] == ["interested", "declined", "taken_back"]
    assert "capacity" in {one["code"] for one in read["reasons"]}


async def test_an_office_records_introduction_and_award_on_behalf_of_the_city_also_when_all_is_over(site: Site) -> None:
    await site.matching.take(need_fact(), offering_fact())
    office = await site.reader(Role.OFFICE, "jetro-hanoi")
    assert (await say(office, "introduced")).status_code == 303
    await site.matching.take(need_fact(status="closed"), offering_fact(status="withdrawn"))
    assert (await say(office, "awarded")).status_code == 303
    introduced, awarded = await announced(site)
    assert (introduced.outcome, introduced.said.place, introduced.said.on_behalf_of) == ("introduced", 1, None)
    assert (awarded.outcome, awarded.said.place, awarded.said.score, awarded.said.on_behalf_of) == (
        "awarded",
        None,
        None,
        CITY_ID,
    )
    page = words_of((await office.get(MATCH)).text)
    assert "jetro-hanoi award recorded for the city" in page
    assert "it did not fit then" in page


async def test_feedback_on_a_match_that_left_the_list_stays_and_counts_at_its_old_place(site: Site) -> None:
    await site.matching.take(need_fact(), offering_fact())
    city = await site.reader(Role.OFFICER, CITY_ID)
    await say(city, "interested")
    await site.matching.take(offering_fact(countries_served=["JP"], countries_of_interest=[]))
    page = words_of((await city.get(MATCH)).text)
    assert "no longer fits" in page
    assert "then place 1, 94 points" in page
    assert (await say(city, "declined", reason="not_now")).status_code == 303  # of what was spoken of before one may speak on
    network = await site.reader(Role.SECRETARIAT, "secretariat")
    measured = (await network.get("/api/matching/v1/outcomes")).json()
    assert measured["all"]["outcomes"] == {"declined": 1}
    assert measured["by_part_of_the_list"]["first"]["judged"] == 1


async def test_who_is_not_offered_anything_has_nothing_to_answer(site: Site) -> None:
    await site.matching.take(need_fact(), offering_fact(countries_served=["JP"], countries_of_interest=[]))
    company = await site.reader(Role.COMPANY, COMPANY_ID)
    answer = await put(company, {"word": "interested"})
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:musubi:problem:not-a-proposal")
    page = await say(company, "interested")
    assert page.status_code == 422
    assert "does not fit the need now" in page.text
    assert await announced(site) == []


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, {"/word": "word_missing"}),
        ({"word": "introduced"}, {"/word": "unknown_word"}),
        ({"word": "declined"}, {"/reason": "reason_missing"}),
        ({"word": "declined", "reason": "prise"}, {"/reason": "unknown_reason"}),
        ({"word": "interested", "reason": "price"}, {"/reason": "reason_not_asked"}),
        (
            {"word": 3, "remark": "x", "note": ["x"]},
            {"/word": "string_type", "/note": "string_type", "/remark": "extra_forbidden"},
        ),
        ({"word": "interested", "note": "\ud83d"}, {"/note": "unpaired_surrogate"}),
        ({"word": "interested", "note": "\u0000"}, {"/note": "control_character"}),
        (["interested"], {"": "model_type"}),
    ],
)
async def test_machines_are_told_each_field_that_is_wrong(site: Site, body: Any, pointers: dict[str, str]) -> None:
    await site.matching.take(need_fact(), offering_fact())
    city = await site.reader(Role.OFFICER, CITY_ID)
    answer = await put(city, body)
    assert answer.status_code == 422
    assert {one["pointer"]: one["code"] for one in answer.json()["errors"]} == pointers
    assert await announced(site) == []


@pytest.mark.parametrize(("content", "status"), [(b"{", 400), (b"", 400), (b"\xff", 400), (b" " * 40_000, 413)])
async def test_bodies_that_cannot_be_read_are_refused_as_such(site: Site, content: bytes, status: int) -> None:
    await site.matching.take(need_fact(), offering_fact())
    city = await site.reader(Role.OFFICER, CITY_ID)
    assert (await city.put(API, content=content)).status_code == status
    assert (await city.post(FEEDBACK, content=content)).status_code in (413, 422)
    assert (await city.post(FEEDBACK, content=b"&".join(b"a=b" for _ in range(50)))).status_code == 400


async def test_each_role_reaches_what_it_should_and_no_other(site: Site) -> None:
    await site.matching.take(need_fact(), offering_fact())
    for role, own in OTHERS.items():
        somebody = await site.reader(role, own)
        offered = {"introduced"} if role in (Role.OFFICE, Role.SECRETARIAT) else {"interested"}
        assert offered <= set((await somebody.get(API)).json()["may_say"])
    for role in (Role.OFFICER, Role.COMPANY):
        stranger = await site.reader(role, STRANGER)
        for answer in (await stranger.get(API), await put(stranger, {"word": "interested"}), await say(stranger, "interested")):
            assert answer.status_code == 404, (role, answer.text[:200])
    operator = await site.reader(Role.OPERATOR, "operator")
    assert (await operator.get(API)).json()["may_say"] == []
    page = (await operator.get(FEEDBACK)).text
    assert "<textarea" not in page
    assert (await say(operator, "interested")).status_code == 403
    assert (await put(operator, {"word": "interested"})).status_code == 403
    anyone = site.anyone()
    assert {(await anyone.get(API)).status_code, (await put(anyone, {})).status_code, (await say(anyone, "x")).status_code} == {
        401
    }
    assert await announced(site) == []


async def test_another_site_s_page_cannot_speak_for_anybody(site: Site) -> None:
    await site.matching.take(need_fact(), offering_fact())
    city = await site.reader(Role.OFFICER, CITY_ID)
    city.headers["origin"] = "https://elsewhere.example"
    assert (await say(city, "interested")).status_code == 403
    assert (await put(city, {"word": "interested"})).status_code == 403
    assert await announced(site) == []


async def test_what_became_of_proposals_is_measured_for_secretariat_and_operators(site: Site) -> None:
    lesser = [other(letter, lead_time_days=121 + number) for number, letter in enumerate("bcde")]
    await site.matching.take(need_fact(), offering_fact(), *lesser)
    city, network = await site.reader(Role.OFFICER, CITY_ID), await site.reader(Role.SECRETARIAT, "secretariat")
    assert "Nobody has judged a proposal yet." in (await network.get("/matching/outcomes")).text
    places = (await city.get(f"/api/matching/v1/shortlists/{NEED_ID}")).json()["matches"]
    first, second, third, fourth, _ = (one["offering_id"] for one in places)
    address = f"/api/matching/v1/feedback/{NEED_ID}"
    for offering_id, body in (
        (first, {"word": "interested"}),
        (second, {"word": "declined", "reason": "price"}),
        (third, {"word": "interested"}),
        (fourth, {"word": "declined", "reason": "price"}),
    ):
        assert (await city.put(f"{address}/{offering_id}", json=body)).status_code == 200
    page = words_of((await network.get("/matching/outcomes")).text)
    assert "LED street lighting 67% 21%–94% 3 0 0 2 0 1" in page
    assert "Places 1 to 3 67% 21%–94% 3" in page
    assert "Places 4 to 10 0% 0%–79% 1" in page
    assert "The price is too high 2" in page
    assert "技術別（1～3位）" in (await network.get("/matching/outcomes?lang=ja")).text
    measured = (await network.get("/api/matching/v1/outcomes")).json()
    assert measured["by_technology"]["lighting.street_led"]["share"] == pytest.approx(2 / 3)
    assert measured["decline_reasons"] == {"price": 2}
    operator = await site.reader(Role.OPERATOR, "operator")
    assert (await operator.get("/matching/outcomes")).status_code == 200
    assert "/matching/outcomes" in (await operator.get("/matching")).text
    for role in (Role.OFFICER, Role.COMPANY, Role.OFFICE):
        somebody = await site.reader(role, OTHERS[role])
        assert (await somebody.get("/matching/outcomes")).status_code == 403
        assert (await somebody.get("/api/matching/v1/outcomes")).status_code == 403
        assert "/matching/outcomes" not in (await somebody.get("/matching")).text
    told = (await network.get("/api/matching/metrics")).text
    assert 'musubi_feedback_total{kind="municipality",word="interested"} 2.0' in told


async def test_feedback_changes_no_score_and_no_list(site: Site) -> None:
    await site.matching.take(need_fact(), offering_fact(), other("b", lead_time_days=170))
    before = await site.matching.stored()
    city = await site.reader(Role.OFFICER, CITY_ID)
    await say(city, "declined", reason="specification")
    await site.matching.take(offering_fact(names={"en": "HB-60 B"}))
    assert await site.matching.stored() == before == await site.matching.oracle()
