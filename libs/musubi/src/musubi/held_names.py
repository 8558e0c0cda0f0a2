"""Short names by which the command line speaks of held events, records in quarantine and their causes. Pure.

An event is `topic:key:sequence`; a topic holds no colon, so a key may. A record is `topic/partition@offset#incarnation`, of whose
last part eight characters or none are enough where they leave no doubt. A cause is eight characters of a hash.
"""

import hashlib
import re
from collections.abc import Iterable
from typing import NamedTuple

from common.operating.held import Cause, EventId, RecordCause, RecordId
from musubi.advice import CannotGoOn

_EVENT = re.compile(r"([^:/]+):(.+):([0-9]{1,18})", re.DOTALL)
_RECORD = re.compile(r"([^:/]+)/([0-9]{1,9})@([0-9]{1,18})(?:#(.*))?")
_SHORT = 8


class RecordName(NamedTuple):
    """A record, its incarnation perhaps only by its beginning."""

    topic: str
    part: int
    offset: int
    incarnation: str

    def means(self, id_: RecordId) -> bool:
        """Whether this may be the name of that record."""
        return (self.topic, self.part, self.offset) == (id_.topic, id_.part, id_.offset) and id_.incarnation.startswith(
            self.incarnation
        )


def of_event(id_: EventId) -> str:
    """The name of an event."""
    return f"{id_.topic}:{id_.key}:{id_.sequence}"


def of_record(id_: RecordId) -> str:
    """The name of a record."""
    return f"{id_.topic}/{id_.part}@{id_.offset}#{id_.incarnation[:_SHORT]}"


def of_cause(cause: Cause | RecordCause) -> str:
    """The name of a cause: the same as long as anything is held for it."""
    said = ("event", *cause) if isinstance(cause, Cause) else ("record", cause.topic, cause.cause)
    return hashlib.sha256("\n".join(said).encode("utf-8", "surrogatepass")).hexdigest()[:_SHORT]


def meant(name: str, causes: Iterable[tuple[str, str]]) -> str:
    """The cause's name: the one that was given, or the one of the only cause of which the list shows this under "where or what".

    `causes` are names, each with what the list shows. Raises `CannotGoOn` where there are several such."""
    shown = list(causes)
    found = sorted({short for short, what in shown if what == name})
    if not found or any(short == name for short, _ in shown):
        return name
    if len(found) > 1:
        raise CannotGoOn(
            f"{name} stands for several causes: {', '.join(found)}. `musubi parked list` tells them apart; name one."
        )
    return found[0]


def read(name: str) -> EventId | RecordName:
    """What a name means; raises `CannotGoOn` for what is none."""
    if found := _RECORD.fullmatch(name):
        topic, part, offset, incarnation = found.groups()
        return RecordName(topic, int(part), int(offset), incarnation or "")
    if found := _EVENT.fullmatch(name):
        topic, key, sequence = found.groups()
        return EventId(topic, key, int(sequence))
    raise CannotGoOn(
        f"{name} names nothing that is held. An event is TOPIC:KEY:SEQUENCE, a record TOPIC/PARTITION@OFFSET; "
        "`musubi parked list --cause CAUSE` shows them."
    )
