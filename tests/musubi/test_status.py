"""What `musubi status` says of a service."""

from musubi.status import in_words


def test_a_ready_service_is_one_line() -> None:
    assert in_words("needs", {"status": "ready", "database": True, "topics": True}) == ["  needs     ready"]


def test_a_missing_topic_is_named_with_what_creates_it() -> None:
    said = {
        "status": "not ready", "topics": False, "missing_topics": "dead-letters (`musubi topics apply` creates them)"
    }  # fmt: skip
    assert in_words("notify", said) == [
        "  notify    not ready: waits for topics",
        "            missing on the broker: dead-letters (`musubi topics apply` creates them)",
    ]
