"""An operator lets people sign in, sees who may, and shuts somebody out; what cannot be done is said with its fix."""

import asyncio
import json

import pytest

from common.access import identity
from musubi import cli
from tests.brokers import Broker
from tests.chain import running_chain
from tests.eventually import eventually
from tests.example_events import example_events
from tests.mailbox import Mailbox


async def _musubi(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = await asyncio.to_thread(cli.main, ["person", *words])
    said = capsys.readouterr()
    return code, said.out + said.err


async def test_people_are_added_listed_and_removed(
    postgres: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MUSUBI_POSTGRES", postgres)
    await identity.prepare(postgres)
    add = ("add", "--email", "Tanaka@Jetro.example", "--role", "office", "--organisation")
    assert "Perhaps jetro-hanoi" in (await _musubi(capsys, *add, "jetro-hanoy"))[1]
    assert "Say of which organisation" in (await _musubi(capsys, *add, ""))[1]
    code, said = await _musubi(capsys, *add, "jetro-hanoi", "--name-en", "Trade desk 2", "--language", "en")
    assert (code, said) == (0, "tanaka@jetro.example may sign in as office of JETRO Hanoi (jetro-hanoi).\n")
    assert "has an account already" in (await _musubi(capsys, *add, "jetro-hanoi"))[1]
    (person,) = json.loads((await _musubi(capsys, "list", "--json"))[1])
    assert (person["email"], person["names"]["en"], person["language"]) == ("tanaka@jetro.example", "Trade desk 2", "en")
    assert "tanaka@jetro.example  office" in (await _musubi(capsys, "list"))[1]
    assert (await _musubi(capsys, "remove", "TANAKA@jetro.example"))[0] == 0
    assert "There is no account" in (await _musubi(capsys, "remove", "tanaka@jetro.example"))[1]
    assert "is no e-mail address" in (await _musubi(capsys, "add", "--email", "tanaka", "--role", "operator"))[1]


async def test_before_the_migrations_it_is_said_what_is_missing(
    postgres: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MUSUBI_POSTGRES", postgres)
    assert await _musubi(capsys, "list") == (1, "musubi: The tables of identity are not up to date. Run `musubi migrate`.\n")


async def test_a_city_is_found_by_its_name_once_it_is_known_and_the_examples_have_somebody_in_each_role(
    postgres: str, kafka: Broker, smtp: Mailbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MUSUBI_POSTGRES", postgres)
    add = ("add", "--email", "green@city.example", "--role", "officer", "--organisation", "Kitakyushu")
    async with running_chain(postgres, kafka, smtp) as chain:
        code, said = await _musubi(capsys, *add)
        assert code == 1 and "once an event about it was accepted" in said
        events = example_events()
        await chain.publish_accepted(*events)
        code, said = await eventually(lambda: _musubi(capsys, *add), lambda done: done[0] == 0, within=60)
        assert "as officer of Kitakyushu" in said
        await eventually(lambda: _musubi(capsys, "examples"), lambda done: done[0] == 0, within=60)
        people = json.loads((await _musubi(capsys, "list", "--json"))[1])
        roles = {person["role"] for person in people if person["email"].endswith("@musubi.example")}
        assert roles == {"officer", "company", "office", "secretariat", "operator"}
