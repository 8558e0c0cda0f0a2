"""What is missing in the environment is named, with what to do."""

import pytest

from common.settings import Settings, Unconfigured


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
    with pytest.raises(Unconfigured, match=r"MUSUBI_TRACE_SAMPLING is wrong .*less than or equal to 1"):
        Settings.read()


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSUBI_POSTGRES", "postgresql:///musubi")
    monkeypatch.setenv("MUSUBI_KAFKA", "localhost:9092")
    settings = Settings.read()
    assert (settings.kafka, settings.trace_sampling, settings.migrate) == ("localhost:9092", 0.01, False)
