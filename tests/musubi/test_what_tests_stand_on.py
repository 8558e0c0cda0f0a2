"""The brokers, database, mail server and browser that all other tests stand on do what they promise."""

import uuid
from email.message import EmailMessage

import aiosmtplib
import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from playwright.async_api import Browser

from common.contracts.registry import CONTROL_TOPICS, TOPICS, Topic
from tests.brokers import Broker, FreshTopics
from tests.mailbox import Mailbox


async def test_each_test_has_an_empty_database(postgres: str) -> None:
    connection = await asyncpg.connect(postgres)
    schemas = await connection.fetch("select nspname from pg_namespace where nspname !~ '^pg_|information_schema'")
    await connection.close()
    assert [row["nspname"] for row in schemas] == ["public"]


async def test_a_broker_has_the_registrys_topics_with_their_partitions_and_delivers(any_kafka: Broker) -> None:
    wanted = TOPICS | CONTROL_TOPICS
    producer = AIOKafkaProducer(bootstrap_servers=any_kafka.address)
    await producer.start()
    partitions = {name: len(await producer.partitions_for(name)) for name in wanted}
    await producer.send_and_wait("needs.needs", b"body", key=b"key", headers=[("ce_id", b"1")])
    await producer.stop()
    consumer = AIOKafkaConsumer(
        "needs.needs", bootstrap_servers=any_kafka.address, group_id=f"g-{uuid.uuid4()}", auto_offset_reset="earliest"
    )
    await consumer.start()
    record = await consumer.getone()
    await consumer.stop()
    assert partitions == {name: topic.partitions for name, topic in wanted.items()}
    assert (record.key, record.value, record.headers, record.offset) == (b"key", b"body", (("ce_id", b"1"),), 0)


async def test_topics_beyond_the_registry_can_be_made(any_kafka: Broker, fresh_topics: FreshTopics) -> None:
    fresh_topics(any_kafka, [Topic("trial.things", "facts", "trial", partitions=2)])
    producer = AIOKafkaProducer(bootstrap_servers=any_kafka.address)
    await producer.start()
    partitions = await producer.partitions_for("trial.things")
    await producer.stop()
    assert partitions == {0, 1}


async def test_the_mail_server_keeps_what_it_accepts_and_refuses_when_told(smtp: Mailbox) -> None:
    smtp.answer_next("451 4.3.0 Later")
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "a@musubi.example", "b@musubi.example", "省エネの提案"
    mail.set_content("本文")
    with pytest.raises(aiosmtplib.SMTPDataError, match="Later"):
        await aiosmtplib.send(mail, hostname=smtp.host, port=smtp.port)
    await smtp.refusals(1)
    await aiosmtplib.send(mail, hostname=smtp.host, port=smtp.port)
    (arrived,) = await smtp.received(1)
    assert (arrived["Subject"], arrived.get_content().strip()) == ("省エネの提案", "本文")


@pytest.mark.browser
async def test_the_browser_reads_a_page(browser: Browser) -> None:
    page = await browser.new_page(locale="ja-JP")
    await page.goto("data:text/html;charset=utf-8,<title>結び</title>")
    assert await page.title() == "結び"
