"""How partners' events come in over HTTP: receipts, order in time, results item by item."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from common.contracts.needs import MunicipalityListed, NeedPosted
from common.partners.intake import aggregate_id
from needs.app import create_app
from tests.partner import Partner, dated, partner_of
from tests.partner_events import city, company, need


@pytest.fixture
async def partner(postgres: str) -> AsyncIterator[Partner]:
    """A partner of the needs service, on an empty database."""
    async with partner_of("needs", create_app, postgres) as partner:
        yield partner


# Who and how much ----------------------------------------------------------------------------------------------------


async def test_without_a_key_nothing_is_taken_in(partner: Partner) -> None:
    async with partner.caller() as anybody:
        response = await anybody.post("/api/needs/v1/events", json=city())
    assert response.status_code == 401
    assert response.headers["content-type"] == "application/problem+json"
    assert await partner.announced() == []


async def test_a_key_that_is_not_valid_any_more_is_told_so(partner: Partner) -> None:
    async with partner.caller(authorization="Bearer mk_of-yesterday") as caller:
        response = await caller.post("/api/needs/v1/events", json=city())
    assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
    assert "API key" in response.json()["detail"]


async def test_ids_follow_from_organisation_kind_and_subject_alone(partner: Partner) -> None:
    (answer,) = await partner.accepted(city("haiphong"))
    assert answer["aggregate_id"] == aggregate_id("partner-of-tests", "municipality", "haiphong")
    assert answer["aggregate_id"] != aggregate_id("another-partner", "municipality", "haiphong")
    assert answer["aggregate_id"] != aggregate_id("partner-of-tests", "need", "haiphong")


async def test_one_event_and_a_batch_are_answered_alike_and_the_status_says_how_it_went(partner: Partner) -> None:
    one = await partner.post(json.dumps(city()), kind="application/cloudevents+json")
    assert (one.status_code, [r["index"] for r in one.json()["results"]]) == (202, [0])
    mixed = [city("ube"), need(quantity=-1), city("da-nang")]
    batch = await partner.post(json.dumps(mixed), kind="application/cloudevents-batch+json; charset=utf-8")
    assert batch.status_code == 207
    assert [(r["index"], r["id"], r["status"]) for r in batch.json()["results"]] == [
        (0, mixed[0]["id"], "accepted"),
        (1, mixed[1]["id"], "refused"),
        (2, mixed[2]["id"], "accepted"),
    ]
    none = await partner.post(json.dumps([need(quantity=-1)]))
    assert none.status_code == 422


async def test_a_hundred_items_are_taken_and_one_more_is_too_many(partner: Partner) -> None:
    assert len(await partner.accepted(*(city(f"c{n}") for n in range(100)))) == 100
    response = await partner.post(json.dumps([city(f"d{n}") for n in range(101)]))
    assert response.status_code == 413
    assert response.json()["errors"][0]["code"] == "too_many_items"


async def test_everything_that_was_refused_has_left_no_trace(partner: Partner) -> None:
    await partner.send(city(), need(quantity=-1), need("other", "nowhere"))
    assert [type(fact) for fact in await partner.announced()] == [MunicipalityListed]


# Receipts and time ----------------------------------------------------------------------------------------------------


async def test_the_same_event_again_gets_the_same_answer_and_no_second_effect(partner: Partner) -> None:
    event = city()
    (first,) = await partner.accepted(event)
    (again,) = await partner.accepted(event)
    assert again == {**first, "status": "repeat"}
    assert len(await partner.announced()) == 1


async def test_the_same_event_twice_in_one_batch_has_one_effect(partner: Partner) -> None:
    event = city()
    answers = await partner.accepted(event, event)
    assert [a["status"] for a in answers] == ["accepted", "repeat"]


async def test_the_same_event_sent_many_times_at_once_has_one_effect(partner: Partner) -> None:
    event = city()
    answers = await asyncio.gather(*(partner.accepted(event) for _ in range(8)))
    assert sorted(a["status"] for (a,) in answers) == ["accepted"] + ["repeat"] * 7
    assert len(await partner.announced()) == 1


async def test_a_repeat_may_be_written_differently_as_long_as_it_says_the_same(partner: Partner) -> None:
    await partner.accepted(city())
    event = need(quantity=3600)
    await partner.accepted(event)
    reordered = {**event, "data": {**dict(reversed(event["data"].items())), "quantity": 3600.0}}
    (again,) = await partner.accepted(reordered)
    assert again["status"] == "repeat"


async def test_other_content_under_a_used_id_is_refused(partner: Partner) -> None:
    event = city()
    await partner.accepted(event)
    (refused,) = await partner.send({**event, "data": {**event["data"], "population": 5}})
    (error,) = refused["errors"]
    assert (refused["retryable"], error["pointer"], error["code"]) == (False, "/id", "id_used_before")


async def test_a_refused_event_may_come_again_under_its_id_once_it_is_mended(partner: Partner) -> None:
    event = city()
    await partner.send({**event, "data": {**event["data"], "country": "Vietnam"}})
    (answer,) = await partner.accepted(event)
    assert answer["status"] == "accepted"


async def test_an_older_event_than_the_newest_of_its_subject_has_no_effect(partner: Partner) -> None:
    old = dated(city(population=1), hours=-2)
    await partner.accepted(dated(city(population=2), hours=-1))
    (answer,) = await partner.accepted(old)
    assert (answer["status"], answer["effect"]) == ("superseded", None)
    (listed,) = await partner.announced()
    assert isinstance(listed, MunicipalityListed)
    assert listed.population == 2
    (again,) = await partner.accepted(old)
    assert again["status"] == "repeat"


async def test_subjects_of_different_kinds_do_not_supersede_each_other(partner: Partner) -> None:
    answers = await partner.accepted(dated(city("same"), hours=-1), dated(need("same", "same"), hours=-2))
    assert [a["status"] for a in answers] == ["accepted", "accepted"]


@pytest.mark.parametrize(
    ("ahead", "code"),
    [({"days": -28, "minutes": -1}, "time_too_old"), ({"minutes": 6}, "time_ahead")],
)
async def test_events_from_too_long_ago_or_from_the_future_are_refused(
    partner: Partner, ahead: dict[str, float], code: str
) -> None:
    (refused,) = await partner.send(dated(city(), **ahead))
    assert [(e["pointer"], e["code"]) for e in refused["errors"]] == [("/time", code)]
    within = {"days": -27} if code == "time_too_old" else {"minutes": 4}
    await partner.accepted(dated(city(), **within))


async def test_a_need_and_the_change_of_its_city_sent_at_once_always_see_each_other(partner: Partner) -> None:
    await partner.accepted(dated(city(), minutes=-1))
    for round_ in range(15):
        name = f"Haiphong {round_}"
        await asyncio.gather(partner.accepted(need(f"need-{round_}")), partner.accepted(city(names={"en": name})))
        newest = {fact.id: fact for fact in await partner.announced() if isinstance(fact, NeedPosted)}
        assert {fact.municipality.names["en"] for fact in newest.values()} == {name}


async def test_batches_in_opposite_orders_do_not_block_each_other(partner: Partner) -> None:
    names = [f"c{n}" for n in range(20)]

    async def forwards() -> None:
        await partner.accepted(*(city(name) for name in names))

    async def backwards() -> None:
        await partner.accepted(*(city(name) for name in reversed(names)))

    await asyncio.gather(*(way() for _ in range(4) for way in (forwards, backwards)))


async def test_what_is_announced_names_the_partner_s_event_that_it_follows_from(partner: Partner) -> None:
    events = [city(), need(), city(names={"en": "Hai Phong"})]
    await partner.accepted(*events)
    assert await partner.correlation_ids() == [events[0]["id"], events[1]["id"], events[2]["id"], events[2]["id"]]


# A dry run ----------------------------------------------------------------------------------------------------------


async def test_a_dry_run_says_what_would_happen_and_does_nothing(partner: Partner) -> None:
    answers = await partner.send(city(), need(), need("bad", quantity=-1), query="?dry_run=true")
    assert [(a["status"], a["effect"]) for a in answers] == [("valid", "created"), ("valid", "created"), ("refused", None)]
    assert await partner.announced() == []
    await partner.accepted(city())
    answers = await partner.send(city(), city(population=7), query="?dry_run=true")
    assert [(a["status"], a["effect"]) for a in answers] == [("valid", "unchanged"), ("valid", "updated")]
    assert len(await partner.announced()) == 1


async def test_what_the_interface_description_says_of_the_body(partner: Partner) -> None:
    description = (await partner.page("/api/needs/openapi.json")).json()
    content = description["paths"]["/api/needs/v1/events"]["post"]["requestBody"]["content"]
    assert set(content) == {"application/cloudevents+json", "application/cloudevents-batch+json"}
    assert company()["type"] not in json.dumps(content)
