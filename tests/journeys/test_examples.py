"""Every example's shortlist, as it came out of the whole chain, is the one that the rules give when nothing is in between."""

from tests.brokers import Broker
from tests.chain import running_chain
from tests.eventually import eventually
from tests.example_events import example_events
from tests.mailbox import Mailbox
from tests.oracle import announced, differences


async def test_every_examples_shortlist_equals_the_oracle(any_kafka: Broker, postgres: str, smtp: Mailbox) -> None:
    events = example_events()
    needs = sum(event["type"] == "need.submitted.v1" for event in events)
    async with running_chain(postgres, any_kafka, smtp) as chain:
        await chain.publish_accepted(*events)
        seen = await eventually(
            lambda: announced(postgres),
            lambda seen: len(seen.shortlists) == needs and not differences(seen),
            within=60,
            every=0.5,
            what="every shortlist to be the oracle's",
        )
    assert needs >= 60
    assert sum(bool(shortlist.matches) for shortlist in seen.shortlists.values()) >= needs / 2
