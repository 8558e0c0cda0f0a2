"""In which of our languages somebody is answered: asked for in the address, remembered, their account's, or their browser's."""

from starlette.requests import Request

from common.vocabulary import LANGUAGES

COOKIE = "musubi_lang"


def language_of(request: Request) -> str:
    """`ja` or `en` for this request.

    In this order: `?lang=`, the cookie that remembers an earlier `?lang=`, the signed-in account's language, `Accept-Language`.
    Where none says anything, pages speak Japanese and machine routes English.
    """
    principal = getattr(request.state, "principal", None)
    for wish in (
        request.query_params.get("lang"),
        request.cookies.get(COOKIE),
        principal.language if principal else None,
        preferred(request.headers.get("accept-language", "")),
    ):
        if wish in LANGUAGES:
            return wish
    return "en" if is_machine_route(request.url.path) else "ja"


def preferred(accept_language: str) -> str | None:
    """The first of our languages by weight in an `Accept-Language` header; None where it names none of them."""
    wishes: list[tuple[float, int, str]] = []
    for place, part in enumerate(accept_language[:500].split(",")):
        tag, _, parameter = part.strip().partition(";")
        language = tag.strip().lower().split("-")[0]
        weight = _weight(parameter)
        if language in LANGUAGES and weight > 0:
            wishes.append((-weight, place, language))
    return min(wishes)[2] if wishes else None


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0


def is_machine_route(path: str) -> bool:
    """Whether a machine reads the answer (`/api/…`), so that it gets JSON and not a page."""
    return path.startswith("/api/")
