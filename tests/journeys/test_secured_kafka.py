"""On a Kafka that asks for names and allows each only its own topics, the chain works, and nobody can do another's part."""

from collections.abc import Iterator

import httpx
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, TopicAuthorizationFailedError

from common.kafka_login import KafkaLogin
from musubi import roles, topic_rights
from tests.brokers import Broker
from tests.chain import MAKERS, Chain, free_socket, partner_key, served, settings_for
from tests.conftest import kafka_of_its_own
from tests.eventually import eventually
from tests.kafka_server import KafkaServer
from tests.mailbox import Mailbox
from tests.partner_events import city, company, need, offering

PASSWORDS = {service: f"password of {service}" for service in roles.SERVICES}

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def secured() -> Iterator[KafkaServer]:
    """A real Kafka with all topics, and with the services' users and rights; nobody else has any."""
    with kafka_of_its_own() as server:
        topic_rights.allow(server.address, passwords=PASSWORDS)
        yield server


async def test_each_service_as_its_own_user_runs_the_whole_chain(secured: KafkaServer, postgres: str, smtp: Mailbox) -> None:
    listening = free_socket()
    origin = f"http://127.0.0.1:{listening.getsockname()[1]}"
    broker = Broker(secured.named, "", "real")
    key = await partner_key(postgres)
    apps = {
        name: make(settings_for(postgres, broker, origin, smtp, kafka_user=name, kafka_password=PASSWORDS[name]))
        for name, make in MAKERS.items()
    }
    async with served(apps, listening), httpx.AsyncClient(base_url=origin, trust_env=False, timeout=30) as http:
        http.headers["authorization"] = f"Bearer {key}"

        async def what_they_wait_for() -> list[str]:
            answers = [await http.get(f"/api/{name}/readyz") for name in MAKERS]
            return [answer.text for answer in answers if answer.status_code != 200]

        await eventually(what_they_wait_for, lambda waiting: not waiting, within=60, what="all services to be ready")
        await Chain(http, origin, postgres, broker).publish_accepted(city(), company(), offering(), need())
        await smtp.received(1)


async def test_a_service_cannot_announce_what_is_anothers(secured: KafkaServer) -> None:
    async with _producing(secured, KafkaLogin("needs", PASSWORDS["needs"])) as producer:
        await producer.send_and_wait("needs.needs", b"{}", key=b"k")
        with pytest.raises(TopicAuthorizationFailedError):
            await producer.send_and_wait("matching.proposals", b"{}", key=b"k")


async def test_a_wrong_password_is_refused(secured: KafkaServer) -> None:
    with pytest.raises(KafkaConnectionError):
        async with _producing(secured, KafkaLogin("needs", "a guess")):
            pass


def _producing(server: KafkaServer, login: KafkaLogin) -> AIOKafkaProducer:
    return AIOKafkaProducer(bootstrap_servers=server.named, acks="all", enable_idempotence=True, **login.for_aiokafka())
