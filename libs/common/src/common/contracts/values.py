"""The values that every contract is made of: texts by language, money, quantities, codes. Wrong ones cannot be constructed.

Faults raise `PydanticCustomError` with a stable code; `common.faults` has the words for each code in Japanese and English.
"""

import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, ClassVar, LiteralString

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from common import vocabulary


def _one_of(known: Callable[[], Any], code: LiteralString) -> AfterValidator:
    def check(value: str) -> str:
        if value not in known():
            raise PydanticCustomError(code, "{value} is not known", {"value": value[:80]})
        return value

    return AfterValidator(check)


# Category Cc but for tab and line ends. A shortlist holds two hundred texts, so this has to be quick.
_CONTROL_CHARACTER = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def _no_control_characters(value: str) -> str:
    """PostgreSQL refuses NUL, and no other control character but tab and line ends has business in a text."""
    if _CONTROL_CHARACTER.search(value):
        raise PydanticCustomError("control_character", "control characters are not allowed")
    return value


# What ends a line for a reader, a terminal or a mail header, beside the control characters.
_NOT_IN_A_LINE = re.compile(r"[\x00-\x08\n-\x1f\x7f-\x9f\u2028\u2029]")
_LINE_END = frozenset("\n\r\v\f\x85\u2028\u2029")


def _one_line(value: str) -> str:
    """Names and titles stand in headings and in the headers of mails, where a second line would be something else."""
    if found := _NOT_IN_A_LINE.search(value):
        if found.group() in _LINE_END:
            raise PydanticCustomError("line_break", "a line break is not allowed")
        raise PydanticCustomError("control_character", "control characters are not allowed")
    return value


def _plain_address(value: str) -> str:
    """The pattern in the schema says what may not be in an address; mail servers read only these characters before the @."""
    if not _LOCAL_PART.match(value) or ".." in value:
        raise PydanticCustomError("email", "{value} is not an address", {"value": value[:80]})
    return value


_LOCAL_PART = re.compile(r"[A-Za-z0-9!#$%&*+/=?^_`{|}~-][A-Za-z0-9.!#$%&*+/=?^_`{|}~-]*(?<!\.)@[A-Za-z0-9]")


def _not_a_float_or_bool(value: Any) -> Any:
    """JSON numbers arrive as int or Decimal (the reader parses them so); a float would carry noise digits into money."""
    if isinstance(value, bool):
        raise PydanticCustomError("decimal_type", "a number is expected")
    return Decimal(str(value)) if isinstance(value, float) else value


_DIGITS = re.compile(r"[+-]?[0-9._]+")


def _not_a_number(value: Any) -> Any:
    """pydantic would take 1803168000, also as a text, for a day of 2027, as seconds since 1970; whoever sends 20270331 means
    something else."""
    if isinstance(value, (int, float, Decimal)):
        raise PydanticCustomError("date_type", "a date is expected")
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        raise PydanticCustomError("date_parsing", "a date is expected")
    return value


Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(_one_line)]
"""A line of text: a name, a title."""
Prose = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=10_000),
    AfterValidator(_no_control_characters),
]
Note = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=1_000),
    AfterValidator(_no_control_characters),
]
"""A few sentences that somebody wrote by hand, in whatever language."""
Id = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_no_control_characters)]
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]
"""A BCP 47 tag, such as `ja`, `en`, `zh-Hant`."""
Name = Annotated[dict[Language, Line], Field(min_length=1, max_length=20)]
"""A short text by language, such as `{"en": "Da Nang", "ja": "ダナン市"}`."""
Text = Annotated[dict[Language, Prose], Field(max_length=20)]
"""A longer text by language."""
TechnologyCode = Annotated[str, _one_of(vocabulary.technologies, "unknown_technology")]
Country = Annotated[str, _one_of(vocabulary.countries, "unknown_country")]
Currency = Annotated[str, _one_of(vocabulary.currencies, "unknown_currency")]
UnitCode = Annotated[str, _one_of(vocabulary.units, "unknown_unit")]
Amount = Annotated[
    Decimal, BeforeValidator(_not_a_float_or_bool), Field(ge=0, max_digits=24, decimal_places=6, allow_inf_nan=False)
]
"""An exact number, 0 or more, with at most 6 decimal places."""
PositiveAmount = Annotated[
    Decimal, BeforeValidator(_not_a_float_or_bool), Field(gt=0, max_digits=24, decimal_places=6, allow_inf_nan=False)
]
Measure = Annotated[Decimal, BeforeValidator(_not_a_float_or_bool), Field(max_digits=24, decimal_places=6, allow_inf_nan=False)]
"""An exact number that may be negative, such as a temperature."""
Day = Annotated[date, BeforeValidator(_not_a_number)]
"""A calendar day, such as `2027-04-14`."""
Email = Annotated[
    str, StringConstraints(pattern=r"^[^@\s<>\"',;:\\]{1,64}@[A-Za-z0-9.-]{1,190}$"), AfterValidator(_plain_address)
]
"""One plain address; anything that could smuggle a second recipient or a header is refused."""


class Value(BaseModel):
    """A part of a contract; immutable. Unknown fields are refused in what partners submit and ignored in our own facts."""

    model_config = ConfigDict(frozen=True)


class Money(Value):
    """An amount in major units (yen, dollars) with its ISO 4217 currency."""

    amount: Amount
    currency: Currency


class Contact(Value):
    """Whom to write to: a function ("Environment Division"), never a person's name."""

    function: Name
    email: Email
    languages: Annotated[list[Language], Field(min_length=1, max_length=10)]


class Attribute(Value):
    """A property with its value: `power 60 W`. The value is a number where it can be compared, else a text."""

    name: Line
    value: Measure | Line
    unit: Line | None = None


class Position(Value):
    """WGS 84 degrees."""

    latitude: Annotated[float, Field(ge=-90, le=90)]
    longitude: Annotated[float, Field(ge=-180, le=180)]


class Fact(Value):
    """An event's data: the whole aggregate as it now is. `type` is the CloudEvents type, `topic` where it is published."""

    type: ClassVar[str]
    topic: ClassVar[str]

    @property
    def subject(self) -> str:
        """The aggregate's id: CloudEvents `subject` and Kafka key."""
        raise TypeError(f"{type(self).__name__} must say what its subject is")


class Submission(Value):
    """What a partner asks us to record. It replaces the whole state of its subject; an absent optional field is cleared."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: ClassVar[str]
    service: ClassVar[str]
