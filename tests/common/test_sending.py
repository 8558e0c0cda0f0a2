"""What has to be sent again, by the rule alone; the simulation lets it meet everything else."""

from common.messaging.message import Partition
from common.messaging.sending import Sending, Written

ONE, TWO = Partition("t", 0), Partition("t", 1)


def met(until: int = 0, in_doubt: int = 0) -> Sending:
    """A sending that knows its broker, with one partition that ends there."""
    sending = Sending()
    sending.meet("life", {ONE: until}, {ONE: in_doubt} if in_doubt else {})
    return sending


def test_the_first_broker_is_sent_only_what_is_unsent() -> None:
    assert not Sending().meet("life", {})


def test_another_broker_is_sent_everything_and_what_was_known_of_the_old_one_does_not_count() -> None:
    sending = met(until=7)
    assert sending.meet("another life", {})
    assert not sending.until
    assert not sending.beyond


def test_a_broker_that_has_all_it_had_is_sent_nothing_again() -> None:
    sending = met(until=7)
    assert not sending.meet("life", {ONE: 7})
    assert not sending.meet("life", {ONE: 9})


def test_a_shorter_end_means_everything_again_once() -> None:
    sending = met(until=7)
    assert sending.meet("life", {ONE: 5})
    assert not sending.meet("life", {ONE: 5})


def test_what_lies_below_where_a_reader_may_stand_is_wanted_again_until_it_lies_beyond() -> None:
    sending = met(until=7)
    sending.meet("life", {ONE: 2})
    outcome = sending.acknowledged({ONE: [Written(2, 4)]})
    assert (outcome.everything, outcome.wanting) == (False, {ONE: 3})
    assert sending.acknowledged({ONE: [Written(4, 8)]}).wanting == {ONE: 0}
    assert not sending.acknowledged({ONE: [Written(8, 10)]}).wanting


def test_a_tail_lost_between_two_requests_is_seen_by_the_lower_offset() -> None:
    sending = met(until=7)
    assert not sending.acknowledged({ONE: [Written(7, 9)]}).everything
    assert sending.acknowledged({ONE: [Written(9, 10), Written(8, 9)]}).everything


def test_what_may_have_been_written_read_and_lost_has_to_be_passed() -> None:
    sending = met(until=7, in_doubt=2)
    assert sending.acknowledged({ONE: [Written(7, 8)]}).wanting == {ONE: 1}
    assert sending.acknowledged({ONE: [Written(8, 9)]}).wanting == {ONE: 0}
    assert not sending.acknowledged({ONE: [Written(9, 10)]}).wanting


def test_partitions_are_judged_one_by_one() -> None:
    sending = met(until=7, in_doubt=2)
    assert sending.acknowledged({ONE: [Written(9, 10)], TWO: [Written(0, 3)]}).wanting == {}
    assert sending.until == {ONE: 10, TWO: 3}


def test_what_is_sent_without_being_unsent_is_in_doubt_until_its_acknowledgement_is_stored() -> None:
    sending = met(until=7)
    stored = sending.doubting({ONE: 2, TWO: 1})
    assert (stored.until, stored.beyond) == ({ONE: 7, TWO: 0}, {ONE: 9, TWO: 1})
    assert not sending.acknowledged({ONE: [Written(7, 9)]}).wanting  # to the one who wrote it nothing is in doubt
    stored.meet("life", {ONE: 7, TWO: 0})  # it was read, and lost, and the next one leads
    assert stored.acknowledged({ONE: [Written(7, 8)]}).wanting == {ONE: 1}
