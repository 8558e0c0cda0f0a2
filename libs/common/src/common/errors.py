"""The four kinds of error, told apart by what happens next.

MusubiError
├── Rejected    the caller is told what to mend; never retried
├── NotFound    there is no such thing, or not for this caller
├── TryAgain    the outside world is ill; the same call may pass later
└── (anything else is a bug: the event is parked and somebody is alerted)

Each has a stable `slug`; the HTTP status is only known at the HTTP edge (`common.web.application`).
"""

from typing import NamedTuple


class Fault(NamedTuple):
    """One thing wrong with an item: where (JSON pointer), a stable code, and words that say reason and fix, by language."""

    pointer: str
    code: str
    detail: dict[str, str]


class MusubiError(Exception):
    """Base of the errors that we raise on purpose; `detail` is a text by language."""

    slug = "error"

    def __init__(self, slug: str = "", detail: dict[str, str] | None = None, faults: tuple[Fault, ...] = ()) -> None:
        self.slug = slug or self.slug
        self.detail = detail or {"en": (self.__doc__ or "").splitlines()[0]}
        self.faults = faults
        super().__init__(f"{self.slug}: {self.detail.get('en', '')}" + "".join(f" [{f.pointer} {f.code}]" for f in faults))


class Rejected(MusubiError):
    """This cannot be accepted as it is."""

    slug = "rejected"


class NotFound(MusubiError):
    """There is no such thing here."""

    slug = "not-found"


class Forbidden(Rejected):
    """You may not do this."""

    slug = "forbidden"


class TryAgain(MusubiError):
    """Something we depend on does not answer; try again later."""

    slug = "try-again"
