"""What technologies are called: the names that are looked for in a text, in every language of the vocabulary at once."""

from functools import cache

from common.vocabulary import technologies


@cache
def own_names() -> dict[str, tuple[str, ...]]:
    """Names and aliases of every technology that can be needed, by its code."""
    return {one.code: (*one.names.values(), *one.aliases) for one in technologies().values() if one.unit}


@cache
def all_names() -> dict[str, tuple[str, ...]]:
    """The same with what also points at a technology: the names of its group (照明 points at all lighting, at each a little), and
    its codes of the common procurement vocabulary, which stand in European and many Asian notices."""
    known = technologies()
    groups = {one.code: (*one.names.values(), *one.aliases) for one in known.values() if not one.unit}
    return {code: (*own, *groups[known[code].group], *known[code].cpv) for code, own in own_names().items()}
