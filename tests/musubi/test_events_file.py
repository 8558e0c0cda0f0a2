"""A file of events is read as far as it can be read, and what cannot be read is named."""

from musubi.events_file import Item, Unreadable, read


def test_each_line_is_an_event_and_empty_lines_and_the_byte_order_mark_are_passed_over() -> None:
    found = list(read(b'\xef\xbb\xbf{"id": "a", "type": "t"}\n\n  \r\n{"id": "b", "type": "u"}\r\n'))
    assert found == [Item(1, b'{"id": "a", "type": "t"}', "t", "a"), Item(4, b'{"id": "b", "type": "u"}', "u", "b")]


def test_lines_that_are_no_json_are_named_by_number_and_the_rest_goes_on() -> None:
    lines = [b'{"id": "a"}', b"not json", b'{"id": "caf\xe9"}', b'{"id": "d"', b"[" * 100_000, b'{"id": "f"}']
    found = list(read(b"\n".join(lines)))
    assert [item.number for item in found] == [1, 2, 3, 4, 5, 6]
    unreadable = [item for item in found if isinstance(item, Unreadable)]
    assert [item.number for item in unreadable] == [2, 3, 4, 5]
    reasons = " | ".join(item.reason for item in unreadable)
    for word in ("not JSON", "UTF-8", "nested"):
        assert word in reasons


def test_a_list_keeps_each_events_own_text_to_the_last_digit() -> None:
    text = '[ {"id": "a", "n": 0.1000000000000000000001},\n  {"id": "b",\n   "name": "結び"} ]'
    found = list(read(text.encode()))
    assert [item.number for item in found] == [1, 2]
    assert isinstance(found[0], Item) and found[0].text == b'{"id": "a", "n": 0.1000000000000000000001}'
    assert isinstance(found[1], Item) and "結び".encode() in found[1].text


def test_a_list_that_breaks_off_gives_what_stood_before_the_break() -> None:
    found = list(read(b'[{"id": "a"},\n{"id": '))
    assert isinstance(found[0], Item) and found[0].id == "a"
    assert isinstance(found[1], Unreadable) and found[1].number == 2


def test_one_event_may_be_written_over_several_lines() -> None:
    (found,) = read(b'{\n  "id": "a",\n  "type": "t"\n}\n')
    assert isinstance(found, Item) and (found.id, found.type) == ("a", "t")


def test_what_is_json_but_no_object_is_left_for_the_service_to_refuse() -> None:
    assert list(read(b'17\n"text"\nnull')) == [Item(1, b"17", "", ""), Item(2, b'"text"', "", ""), Item(3, b"null", "", "")]


def test_an_empty_file_holds_no_events() -> None:
    assert list(read(b"")) == list(read(b"\n \n")) == list(read(b" [ ] ")) == []
