"""What is missing in the environment is named, with what to do."""

import pytest
from faststream.security import SASLPlaintext

from common.kafka_login import KafkaLogin
from common.settings import KafkaSettings, Settings, Unconfigured


def test_every_missing_setting_is_named_with_its_meaning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MUSUBI_POSTGRES", raising=False)
    monkeypatch.delenv("MUSUBI_KAFKA", raising=False)
    with pytest.raises(Unconfigured) as told:
        Settings.read()
    lines = str(told.value).splitlines()
    assert lines[0].startswith("MUSUBI_POSTGRES is missing. Set it to say where PostgreSQL is, such as postgresql://")
    assert lines[1].startswith("MUSUBI_KAFKA is missing. Set it to say where Kafka is, such as localhost:9092")


def test_a_wrong_setting_is_named_with_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSUBI_POSTGRES", "postgresql:///musubi")
    monkeypatch.setenv("MUSUBI_KAFKA", "localhost:9092")
    monkeypatch.setenv("MUSUBI_TRACE_SAMPLING", "2")
    with pytest.raises(Unconfigured, match=r"^MUSUBI_TRACE_SAMPLING is wrong. Set it to say .*, 0 to 1.$"):
        Settings.read()


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSUBI_POSTGRES", "postgresql:///musubi")
    monkeypatch.setenv("MUSUBI_KAFKA", "localhost:9092")
    settings = Settings.read()
    assert (settings.kafka, settings.trace_sampling, settings.migrate) == ("localhost:9092", 0.01, False)


def test_a_name_for_kafka_needs_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSUBI_KAFKA_USER", "needs")
    with pytest.raises(Unconfigured, match=r"MUSUBI_KAFKA_PASSWORD is wrong .*go together"):
        KafkaSettings.read()
    monkeypatch.setenv("MUSUBI_KAFKA_PASSWORD", "secret")
    read = KafkaSettings.read()
    assert read.kafka_login == KafkaLogin("needs", "secret", "SCRAM-SHA-512")
    assert "secret" not in repr(read) + repr(read.kafka_login)


@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [
        ("LOG_LEVEL", "loud", "MUSUBI_LOG_LEVEL is wrong. Set it to say DEBUG, INFO, WARNING or ERROR."),
        ("KAFKA_TLS", "maybe", "MUSUBI_KAFKA_TLS is wrong. Set it to say whether to speak TLS to Kafka, true or false."),
        ("KAFKA_CA", "/nowhere", "MUSUBI_KAFKA_CA is wrong (no certificates can be read from it, in PEM). Set it to say"),
        ("KAFKA_CA", __file__, "MUSUBI_KAFKA_CA is wrong (no certificates can be read from it, in PEM). Set it to say"),
        ("POSTGRES", "postgresql://h:s3cr/et@db/y", "MUSUBI_POSTGRES is wrong (it cannot be read as an address; / # ? @ in a"),
    ],
)
def test_a_wrong_setting_is_told_in_our_own_words(name: str, value: str, advice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSUBI_POSTGRES", "postgresql:///musubi")
    monkeypatch.setenv("MUSUBI_KAFKA", "localhost:9092")
    monkeypatch.setenv(f"MUSUBI_{name}", value)
    with pytest.raises(Unconfigured) as told:
        Settings.read()
    (line,) = str(told.value).splitlines()
    assert line.startswith(advice)
    assert "s3cr" not in line


def test_every_client_is_told_of_the_same_login() -> None:
    login = KafkaLogin("needs", "secret", "PLAIN", tls=True)
    told = login.for_aiokafka()
    assert (told["security_protocol"], told["sasl_mechanism"]) == ("SASL_SSL", "PLAIN")
    security = login.for_faststream()
    assert isinstance(security, SASLPlaintext)
    assert (security.use_ssl, security.username, security.password) == (True, "needs", "secret")
    assert login.for_librdkafka()["security.protocol"] == "SASL_SSL"
    assert KafkaLogin().for_faststream() is None
    assert KafkaLogin().for_librdkafka() == {"security.protocol": "PLAINTEXT"}
