"""Facts as JSON and back, exact to the digit: a number with a fraction is a `Decimal` here, a plain JSON number on the wire."""

from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

import msgspec
from pydantic import BaseModel

Model = TypeVar("Model", bound=BaseModel)

_encode = msgspec.json.Encoder(decimal_format="number").encode
_MOST_PLACES = 400
"""A number's first digit may stand so many places before or behind the point. Written out, `1e1000000000` has a billion digits:
whoever makes a whole number of it hangs. The largest number in 8 bytes has 309."""


class NotJson(ValueError):
    """These bytes are no JSON text (in UTF-8, without NaN and infinities, not nested beyond reason, no endless numbers)."""


def _number(text: str) -> Decimal:
    number = Decimal(text)
    if abs(number.adjusted()) > _MOST_PLACES:
        raise InvalidOperation
    return number


_decode = msgspec.json.Decoder(float_hook=_number).decode


def to_json(value: Any) -> bytes:
    """JSON of dicts, lists, texts, numbers, decimals, dates, times and UUIDs."""
    return _encode(value)


def from_json(text: bytes | str) -> Any:
    """What the JSON says; raises `NotJson`."""
    try:
        return _decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:  # ValueError: bad UTF-8
        raise NotJson(str(error)[:200]) from None
    except InvalidOperation:
        raise NotJson("a number has an exponent beyond measure") from None


def dump(model: BaseModel) -> bytes:
    """JSON of a fact or another pydantic model."""
    return _encode(model.model_dump())


def load(kind: type[Model], text: bytes | str) -> Model:
    """A pydantic model from its JSON; raises `NotJson` or pydantic's `ValidationError`."""
    return kind.model_validate(from_json(text))
