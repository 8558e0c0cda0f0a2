"""Who may do what: one table of roles and actions, asked by every route.

"all" means for every organisation, "own" only for what concerns the caller's own organisation, absence means no.
"""

from enum import StrEnum
from typing import Literal


class Role(StrEnum):
    """What somebody is in Musubi. Everybody who has not signed in is `ANYONE`."""

    ANYONE = "anyone"
    OFFICER = "officer"
    """An officer of a municipality."""
    COMPANY = "company"
    """Staff of a company that offers something."""
    OFFICE = "office"
    """Staff of a JETRO office."""
    SECRETARIAT = "secretariat"
    """Staff of the network's secretariat."""
    OPERATOR = "operator"
    """Whoever keeps the installation running."""
    PARTNER = "partner"
    """A partner's system, known by its API key."""


class Action(StrEnum):
    """What a route lets its caller do."""

    READ_PUBLIC = "read public things"
    """Style sheet, schemas, interface descriptions, sign-in pages."""
    HEALTH = "read health"
    """Liveness, readiness and metrics; they carry no data of anybody."""
    SEE_HOME = "see the home page"
    SEE_NEEDS = "see needs"
    SEE_OFFERINGS = "see offerings"
    SEE_PROPOSALS = "see proposals"
    GIVE_FEEDBACK = "say what becomes of a proposal"
    """Which words each kind of organisation has for it, matching says."""
    SEE_OUTCOMES = "see what became of proposals"
    SEE_INBOX = "see the inbox"
    ACKNOWLEDGE = "acknowledge"
    SEE_MAIL = "see the folder of mails"
    SEE_PARKED = "see held records"
    """Events that could not be handled, with their bodies."""
    MEND_PARKED = "mend held records"
    SUBMIT_EVENTS = "submit events"
    SIGN_OUT = "sign out"


Reach = Literal["all", "own"]

EVERYBODY: dict[Action, Reach] = {
    Action.READ_PUBLIC: "all",
    Action.HEALTH: "all",
    Action.SEE_HOME: "all",
    Action.SEE_NEEDS: "all",
    Action.SEE_OFFERINGS: "all",
    Action.SIGN_OUT: "all",
}
"""What every role may do, signed in or not."""

PERMISSIONS: dict[Role, dict[Action, Reach]] = {
    Role.ANYONE: {**EVERYBODY},
    Role.OFFICER: {
        **EVERYBODY,
        Action.SEE_PROPOSALS: "own",
        Action.GIVE_FEEDBACK: "own",
        Action.SEE_INBOX: "own",
        Action.ACKNOWLEDGE: "own",
    },
    Role.COMPANY: {
        **EVERYBODY,
        Action.SEE_PROPOSALS: "own",
        Action.GIVE_FEEDBACK: "own",
        Action.SEE_INBOX: "own",
        Action.ACKNOWLEDGE: "own",
    },
    Role.OFFICE: {
        **EVERYBODY,
        Action.SEE_PROPOSALS: "all",
        Action.GIVE_FEEDBACK: "all",
        Action.SEE_INBOX: "own",
        Action.ACKNOWLEDGE: "own",
    },
    Role.SECRETARIAT: {
        **EVERYBODY,
        Action.SEE_PROPOSALS: "all",
        Action.GIVE_FEEDBACK: "all",
        Action.SEE_OUTCOMES: "all",
        Action.SEE_INBOX: "own",
        Action.ACKNOWLEDGE: "own",
        Action.SEE_MAIL: "all",
    },
    Role.OPERATOR: {
        **EVERYBODY,
        Action.SEE_PROPOSALS: "all",
        Action.SEE_OUTCOMES: "all",
        Action.SEE_MAIL: "all",
        Action.SEE_PARKED: "all",
        Action.MEND_PARKED: "all",
    },
    Role.PARTNER: {
        **EVERYBODY,
        Action.SUBMIT_EVENTS: "own",
    },
}


def reach(role: Role, action: Action) -> Reach | None:
    """How far this role reaches with this action; None where it may not do it at all."""
    return PERMISSIONS[role].get(action)


def may(role: Role, action: Action, *, own: str | None, organisation_id: str | None = None) -> bool:
    """Whether somebody of this role, whose own organisation is `own`, may act on what concerns `organisation_id`.

    Without an `organisation_id` the question is whether they may act at all.
    """
    far = reach(role, action)
    if far == "own" and organisation_id is not None:
        return own == organisation_id
    return far is not None
