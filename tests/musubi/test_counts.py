"""What the pages count is read from the pages, and must be what is stored."""

from musubi.counts import Counts, differences, numbers_on


def test_an_element_says_what_it_counts() -> None:
    page = '<p>We have <b class="num" data-count="needs">1,204</b> needs and <span data-count="mails">7</span></p>'
    assert numbers_on(page) == [("needs", 1204), ("mails", 7)]


def test_pages_that_show_what_is_stored_are_right() -> None:
    assert differences(Counts(1, 2, 3, 4, 5), dict(zip(Counts._fields, ({1}, {2}, {3}, {4}, {5}), strict=True))) == []


def test_each_difference_is_said_in_words() -> None:
    shown = {"needs": {1}, "offerings": {2, 9}, "proposals": set[int](), "notifications": {4}, "mails": {0}}
    assert differences(Counts(1, 2, 3, 4, 0), shown) == [
        "2 offerings are stored, and the pages show 2 and 9",
        "3 proposals are stored, and the pages show nothing",
        "there are no mails",
    ]
