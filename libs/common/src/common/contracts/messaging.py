"""What every service announces about messaging itself: the records that it could not handle, for those who watch."""

import hashlib
from typing import ClassVar, Literal

from pydantic import AwareDatetime, Field

from common.contracts.values import Fact, Value

MAX_SUBJECT = 255
"""Characters; the protocol takes no longer key."""


class Excerpt(Value):
    """The beginning of some bytes: as text where they are UTF-8 without NUL, else in base64. `size` is the whole, in bytes."""

    encoding: Literal["text", "base64"]
    value: str
    size: int
    cut: bool = Field(default=False, description="Whether something is left off at the end")


class RecordDeadLettered(Fact):
    """A service could not handle a record, and keeps it until somebody decides. Only a feed: nobody handles these.

    `poison`: an event failed for the first time, and is tried again later; `dead`: it has failed so often that it is not tried
    again; `quarantined`: the record is no event at all."""

    type: ClassVar[str] = "record.dead-lettered.v1"
    topic: ClassVar[str] = "dead-letters"

    group: str = Field(description="The consumer group, which is the service that could not handle it")
    cause: Literal["poison", "dead", "quarantined"]
    original_topic: str
    original_partition: int | None = None
    original_offset: int | None = None
    original_timestamp: int | None = Field(default=None, description="Milliseconds since 1970")
    key: Excerpt | None = None
    sequence: int | None = Field(default=None, description="Null where the record is no event")
    event_id: str | None = None
    event_type: str | None = None
    reason: str
    pointer: str | None = Field(default=None, description="Which field, as a JSON pointer into the body; empty: the event itself")
    body: Excerpt | None = None
    at: AwareDatetime = Field(description="When the service gave up for now")

    @property
    def subject(self) -> str:
        """One stream for each group and key (or partition, of what is no event), so that no two services number the same one."""
        where = f"{self.original_topic}/{self.original_partition}"
        if self.sequence is not None and self.key is not None:
            where = f"{self.original_topic}:{self.key.value}"
        whole = f"{self.group}:{where}"
        if len(whole) <= MAX_SUBJECT:
            return whole
        short = hashlib.sha256(whole.encode()).hexdigest()
        return f"{whole[: MAX_SUBJECT - len(short) - 1]}:{short}"
