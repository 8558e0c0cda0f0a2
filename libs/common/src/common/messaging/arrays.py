"""Long lists of parameters as PostgreSQL writes arrays, for `$1::text::text[]` and the like.

asyncpg looks at every element of a list on its own, which costs a batch's statements several times what this does.
"""

from collections.abc import Collection, Iterable


def texts(values: Collection[str]) -> str:
    """The array of these texts; any text that PostgreSQL can hold."""
    if not values:
        return "{}"
    whole = "".join(values)
    if '"' in whole or "\\" in whole:
        values = [value.replace("\\", "\\\\").replace('"', '\\"') for value in values]
    return '{"' + '","'.join(values) + '"}'


def numbers(values: Iterable[int]) -> str:
    """The array of these whole numbers."""
    return "{" + ",".join(map(str, values)) + "}"
