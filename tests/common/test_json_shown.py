"""JSON for people: what is shown reads back as the same value, and the wrong place is marked."""

from decimal import Decimal

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from common.exact_json import from_json, to_json
from common.operating.json_shown import Piece, as_text, cut, laid_out

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-1000, max_value=1000)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | TEXTS | NUMBERS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(VALUES)
def test_what_is_shown_reads_back_as_exactly_the_same_value(value: object) -> None:
    assert to_json(from_json(as_text(value))) == to_json(value)


def test_numbers_keep_their_digits() -> None:
    assert as_text({"a": Decimal("1.500"), "b": [1, 2.5]}) == '{\n  "a": 1.500,\n  "b": [\n    1,\n    2.5\n  ]\n}'


@pytest.mark.parametrize(
    ("pointer", "marked"),
    [
        ("/unit", '"furlong"'),
        ("/tiers/1/price", "-3"),
        ("/tiers/0", '{\n      "price": 5\n    }'),
        ("/a~1b", "1"),
        ("/a~0b", "2"),
        ("/not/there", ""),
        ("", ""),
    ],
)
def test_the_value_that_a_pointer_means_is_marked(pointer: str, marked: str) -> None:
    value = {"unit": "furlong", "tiers": [{"price": 5}, {"price": -3}], "a/b": 1, "a~b": 2}
    assert "".join(piece.text for piece in laid_out(value, {pointer}) if piece.marked) == marked


def test_what_cannot_be_seen_or_turns_the_line_is_written_as_its_number() -> None:
    assert as_text("a\u202eb\u200b\u3000海\x7f") == '"a\\u202eb\\u200b\u3000海\\u007f"'


def test_what_is_nested_without_end_is_shown_all_the_same() -> None:
    value: object = 1
    for _ in range(300):
        value = [value]
    assert as_text(value).count("[") == 300


def test_a_long_text_is_cut_and_says_so() -> None:
    assert cut([Piece("abc", False), Piece("def", True)], 4) == [Piece("abc", False), Piece("d", True), Piece(" …", False)]
    assert cut([Piece("abc", False)], 3) == [Piece("abc", False)]
