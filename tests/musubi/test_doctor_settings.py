"""What `musubi doctor` says of the variables that it is told by, and of mail server and services that they name."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvicorn

from common.clock import utc_now
from musubi import cli, doctor_around, doctor_settings, places, roles
from musubi.advice import CannotGoOn
from musubi.doctor_findings import Finding
from tests import identity_provider
from tests.deploy import product
from tests.eventually import eventually
from tests.mailbox import Mailbox
from tests.musubi.doctors import NOWHERE, told

SOURCES = Path(__file__).parents[2]

pytestmark = pytest.mark.usefixtures("nothing_said")


async def test_a_setting_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSUBI_SMTP_PORT", "post office")
    (found,) = await doctor_settings.examined()
    assert (found.check, found.state) == ("settings", "failed")
    assert (found.found, found.fix) == ("MUSUBI_SMTP_PORT is wrong", "set it to say the mail server's port")
    (mail,) = await doctor_around.mail(NOWHERE)
    assert mail.state == "left out"


async def test_a_wrong_setting_of_kafka_leaves_out_what_it_concerns_and_nothing_else(
    smtp: Mailbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").write_text("to be filled in")
    monkeypatch.setenv("MUSUBI_KAFKA", "127.0.0.1:1")
    monkeypatch.setenv("MUSUBI_KAFKA_CA", str(tmp_path / "ca.pem"))
    monkeypatch.setenv("MUSUBI_SMTP_HOST", smtp.host)
    monkeypatch.setenv("MUSUBI_SMTP_PORT", str(smtp.port))
    found = await told(services=("needs",))
    assert ["no certificates can be read from it" in one.found for one in found["settings"]] == [True]
    assert {one.state for check in ("broker", "topics", "rights", "clock") for one in found[check]} == {"left out"}
    assert [one.state for one in found["mail"]] == ["well"]


async def test_a_variable_that_nothing_reads_is_named_with_the_one_that_is_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSUBI_SMTP_PORT", "25")
    monkeypatch.setenv("MUSUBI_POSTGRES_NEEDS", "postgresql:///musubi")
    assert [one.state for one in await doctor_settings.examined()] == ["well"]
    monkeypatch.setenv("MUSUBI_SMPT_HOST", "mail.example")
    monkeypatch.setenv("MUSUBI_WEATHER", "fine")
    misspelt, unheard = await doctor_settings.examined()
    assert (misspelt.state, misspelt.found) == ("failed", "nothing reads a variable MUSUBI_SMPT_HOST")
    assert "MUSUBI_SMTP_HOST" in misspelt.fix and "mail.example" not in str(misspelt)
    assert "MUSUBI_WEATHER" in unheard.found and "take it away" in unheard.fix


def test_every_variable_that_is_read_somewhere_is_known() -> None:
    for source in (*SOURCES.glob("libs/*/src/**/*.py"), *SOURCES.glob("services/*/src/**/*.py")):
        for name in re.findall(r'environ[^\n]*"(MUSUBI_[A-Z_]*[A-Z])"', source.read_text()):
            assert name in doctor_settings.known(), f"{source.name} reads {name}, doctor_settings.known() lacks it"
    compose = (SOURCES / "docker-compose.yml").read_text()
    of_others = set(re.findall(r"\$\{(MUSUBI_[A-Z_]*[A-Z])", compose))
    for source in SOURCES.glob("tests/**/*.py"):
        of_others |= set(re.findall(r'environ[^\n]*"(MUSUBI_[A-Z_]*[A-Z])"', source.read_text()))
    assert {"MUSUBI_BIND", "MUSUBI_REQUIRE"} <= of_others
    assert doctor_settings.unknown(of_others) == []


def test_musubi_does_not_start_with_what_cannot_be_read_and_says_so_in_a_line(
    postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, said in {"MUSUBI_SMTP_PORT": "post office", "MUSUBI_POSTGRES": "postgresql://localhost:s3cr/et@db/musubi"}.items():
        monkeypatch.setenv("MUSUBI_POSTGRES", postgres)
        monkeypatch.setenv(name, said)
        assert cli.main(["up", "--port", "0", "--folder", str(tmp_path)]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"musubi: {name} ") and "s3cr" not in line


@pytest.mark.parametrize("piece", ["s3cr/et", "s3cr#et", "s3cr?et", "s3cr@et", "12/34", "[s3cr"])
async def test_no_piece_of_a_password_is_told_where_it_breaks_an_address(piece: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSUBI_POSTGRES", f"postgresql://localhost:{piece}@db/musubi")
    (found,) = (await told())["database"]
    assert (found.state, found.found) == ("failed", "MUSUBI_POSTGRES cannot be read as an address")
    assert "%2F" in found.fix and piece[:4].strip("[/") not in str(found)
    with pytest.raises(CannotGoOn, match=r"^MUSUBI_POSTGRES cannot be read"):
        places.databases(NOWHERE)


async def test_the_variable_is_named_that_says_where_a_database_is(free_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSUBI_POSTGRES", f"postgresql://somebody@127.0.0.1:{free_port}/musubi")
    monkeypatch.setenv("MUSUBI_POSTGRES_NEEDS", f"postgresql://needs@127.0.0.1:{free_port}/musubi")
    of_needs, of_others = (await told())["database"]
    assert (of_needs.of, "MUSUBI_POSTGRES_NEEDS names it" in of_needs.fix) == ("needs", True)
    assert (of_others.of, "MUSUBI_POSTGRES names it" in of_others.fix) == ("catalog, matching, notify, identity", True)
    with pytest.raises(CannotGoOn, match="MUSUBI_POSTGRES_NEEDS right"):
        async with places.opened(places.databases(NOWHERE)["needs"], "needs"):
            pass


async def test_a_mail_server_is_asked_and_gets_no_mail(smtp: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSUBI_SMTP_HOST", smtp.host)
    monkeypatch.setenv("MUSUBI_SMTP_PORT", str(smtp.port))
    assert [one.state for one in await doctor_around.mail(NOWHERE)] == ["well"]
    assert not smtp.messages
    monkeypatch.setenv("MUSUBI_SMTP_USER", "somebody")
    monkeypatch.setenv("MUSUBI_SMTP_PASSWORD", "a guess")
    (found,) = await doctor_around.mail(NOWHERE)  # this server takes no names, and speaks no TLS
    assert (found.state, "a guess" in str(found)) == ("failed", False)


async def test_the_provider_is_asked_who_it_is_and_nobody_is_signed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    (unnamed,) = await doctor_around.sign_in(utc_now)
    assert (unnamed.state, "MUSUBI_OIDC_ISSUER" in unnamed.found) == ("left out", True)
    with identity_provider.running() as provider:
        monkeypatch.setenv("MUSUBI_OIDC_ISSUER", provider.issuer)
        monkeypatch.setenv("MUSUBI_OIDC_CLIENT_ID", "musubi")
        (answering,) = await doctor_around.sign_in(utc_now)
        monkeypatch.setenv("MUSUBI_OIDC_ISSUER", f"{provider.issuer}/")
        (otherwise,) = await doctor_around.sign_in(utc_now)
        assert not provider.tokens
    (away,) = await doctor_around.sign_in(utc_now)
    assert (answering.state, otherwise.state, away.state) == ("well", "failed", "failed")
    assert "calls itself otherwise" in otherwise.found and "ConnectError" in away.found
    monkeypatch.setenv("MUSUBI_OIDC_INTERNAL", "http://nowhere.invalid:5556")
    (unknown,) = await doctor_around.sign_in(utc_now)
    assert (unknown.state, "nowhere.invalid" in unknown.found) == ("failed", True)


@asynccontextmanager
async def needs_alone() -> AsyncIterator[str]:
    """The address of the service needs, which has opened nothing and so waits for all."""
    config = uvicorn.Config(product.application("needs"), port=0, lifespan="off", log_config=None, access_log=False)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())

    async def begun() -> bool:
        return server.started

    await eventually(begun)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    await serving


async def test_each_service_is_asked_where_the_environment_says_that_it_answers(
    free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with needs_alone() as address:
        for name, said in {"needs": address, "catalog": address, "matching": f"http://127.0.0.1:{free_port}"}.items():
            monkeypatch.setenv(f"MUSUBI_URL_{name.upper()}", said)
        needs, catalog, matching, notify = await doctor_around.services("", roles.SERVICES)
    assert (needs.state, "waits for database, migrations, broker" in needs.found) == ("failed", True)
    for silent in (catalog, matching):  # where the first should be, there is another
        assert (silent.state, "does not answer as a service does" in silent.found) == ("failed", True)
        assert f"MUSUBI_URL_{silent.of.upper()} names it" in silent.fix
    assert notify == Finding("services", "left out", notify.found, of="notify") and "MUSUBI_URL_" in notify.found


async def test_an_address_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSUBI_URL_NEEDS", "http://[needs:8000")
    (found,) = await doctor_around.services("", ("needs",))
    assert (found.state, "MUSUBI_URL_NEEDS" in found.fix) == ("failed", True)
