"""Mistakes planted into the product from outside, to see that the checker finds each of them.

Each replaces functions of the product by their names, in the SQL, in the I/O and in the pure parts.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.faults import bugs_of_sending as sending
from tests.faults import bugs_of_taking_in as taking_in
from tests.faults.wrapping import replace, replaced

Patch = tuple[str, Callable[[Any], Any]]


@dataclass(frozen=True)
class Bug:
    """One mistake. `breaks` says in a sentence what it does to the promise."""

    breaks: str
    patches: tuple[Patch, ...]


BUGS: Mapping[str, Bug] = {
    # sending
    "poll-by-id": Bug(
        "The relay asks for batches above the last one it saw: one that commits later with a lower number is never sent.",
        (("common.messaging.outbox:unsent", sending.by_number),),
    ),
    "forgotten-before-acknowledged": Bug(
        "A batch counts as sent before the broker has acknowledged it.",
        (("common.messaging.relay:Relay._oldest", sending.forgotten_when_read),),
    ),
    "sent-before-commit": Bug(
        "Events are sent to Kafka before their transaction commits: if it does not, they speak of what never was.",
        (
            ("common.messaging.relay:Relay.__init__", sending.known_by_schema),
            ("common.messaging.outbox:append", sending.sent_at_once),
        ),
    ),
    "outbox-after-commit": Bug(
        "The outbox is written in a transaction of its own after the commit of the state.",
        (("common.postgres:Database.transaction", sending.two_transactions),),
    ),
    "sequence-without-lock": Bug(
        "A key's next number is the highest in the outbox plus one, without a lock: two at once get the same.",
        (("common.messaging.outbox:append", sending.numbered_by_max),),
    ),
    "new-id-when-sent-again": Bug(
        "Events that are read back from the outbox get new ids.",
        (("common.messaging.outbox:load", sending.with_new_ids),),
    ),
    "lost-log-unnoticed-by-relay": Bug(
        "The relay does not notice that the broker is another one, and sends nothing again.",
        (("common.messaging.sending:Sending.meet", sending.never_again),),
    ),
    "nobody-stands-by": Bug(
        "Every relay takes itself for the leader: one sends an old version of a state after another sent the new one.",
        (("common.messaging.relay:Relay._stand_by", sending.leads_at_once),),
    ),
    "calls-unanswered": Bug(
        "The relay does not send again what a reader says it misses.",
        (("common.messaging.relay:Relay.asked", sending.deaf),),
    ),
    "emitted-stays-when-undone": Bug(
        "What was announced in a savepoint stays announced when the savepoint is rolled back.",
        (("common.transaction:Transaction.savepoint", sending.emitted_stays),),
    ),
    # taking in
    "offsets-before-effect": Bug(
        "The offsets are committed before the effect: who dies in between never reads those events.",
        (("common.messaging.consumer:Consumer.store", taking_in.offsets_first),),
    ),
    "cursor-without-comparison": Bug(
        "A cursor moves from wherever it stands: whatever comes twice takes effect twice.",
        (("common.messaging.cursors:advance", taking_in.moves_from_anywhere),),
    ),
    "repeats-are-new": Bug(
        "The gate of a state topic takes an old version for a new one.",
        (("common.messaging.gate:judge", taking_in.old_is_new),),
    ),
    "bad-header-dropped": Bug(
        "A record whose headers cannot be read is dropped.",
        (("common.messaging.decoding:decode", taking_in.drops_the_broken),),
    ),
    "offset-of-another-life": Bug(
        "Offsets of a broker's earlier life are used in its next one, and a reader that stands beyond the end stays there.",
        (
            ("common.messaging.cursors:claim", taking_in.claims_without_life),
            ("common.messaging.stay:Stay._rewind", taking_in.never_back),  # either alone is healed by the other
        ),
    ),
    "zombie-not-fenced": Bug(
        "A reader stores its offsets though the partition is another's, and the broker another one, by now.",
        (("common.messaging.cursors:fence", taking_in.fences_nobody),),
    ),
    "shorter-log-unnoticed": Bug(
        "A reader that stands beyond the end of a log stays there, and the relay is content with what lies before it.",
        (
            ("common.messaging.stay:Stay._rewind", taking_in.never_back),
            ("common.messaging.sending:Sending.acknowledged", sending.always_content),
        ),
    ),
    "poison-skipped": Bug(
        "An event that cannot be handled counts as handled.",
        (("common.messaging.gate:Halving.failed", taking_in.skips_poison),),
    ),
    "behind-let-through": Bug(
        "Later events of a key pass the one that waits.",
        (
            ("common.messaging.gate:Halving._poison", taking_in.blocks_nobody),
            ("common.messaging.gate:judge", taking_in.lets_all_through),
        ),
    ),
    "second-half-dropped": Bug(
        "Of a batch that failed only the first half is tried again.",
        (("common.messaging.gate:Halving.failed", taking_in.first_half_only),),
    ),
    "gap-ignored-by-unparker": Bug(
        "The un-parker goes on although events before are missing.",
        (("common.messaging.unparking:step", taking_in.tries_beyond_a_gap),),
    ),
    "nothing-superseded": Bug(
        "An older version of a state goes on waiting when a newer one has taken effect.",
        (("common.messaging.parked:supersede", taking_in.supersedes_nothing),),
    ),
    "patience-shared": Bug(
        "Roll-backs are counted for all partitions together, so that the success of one hides the trouble of another.",
        (("common.messaging.stay:Stay.__init__", taking_in.one_count),),
    ),
    # partners and mail
    "receipt-not-kept": Bug(
        "What a partner sent is not noted, so that the same again is taken for something new.",
        (("common.partners.inbox:receipt", taking_in.always_new), ("common.partners.inbox:settle", taking_in.settles_nothing)),
    ),
    "older-wins": Bug(
        "A partner's event takes effect although a newer one of its subject stands.",
        (("common.partners.inbox:newest_time", taking_in.nothing_is_newer),),
    ),
    "answered-before-commit": Bug(
        "A partner is told that its events are accepted before they are committed.",
        (("common.partners.intake:Intake.take_in", taking_in.answers_first),),
    ),
    "new-message-id-at-each-try": Bug(
        "A mail gets another Message-ID each time it is tried.",
        (("notify.mail_store:claim", taking_in.with_new_message_ids),),
    ),
}


def plant(name: str) -> None:
    """Plant it in this process for good."""
    for where, make in BUGS[name].patches:
        replace(where, make)


@contextmanager
def planted(name: str) -> Iterator[None]:
    """Plant it for as long as the block runs."""
    with replaced(*BUGS[name].patches):
        yield
