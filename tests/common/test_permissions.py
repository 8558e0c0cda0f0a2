"""The permission table as a matrix: role by role, what each may do, and to whose things."""

import pytest

from common.access.auth import Principal
from common.access.permissions import EVERYBODY, PERMISSIONS, Action, Role, may, reach

MATRIX = {
    #                        anyone  officer company office secret. operator partner
    Action.SEE_NEEDS:       ("all",  "all",  "all",  "all",  "all",  "all",  "all"),
    Action.SEE_OFFERINGS:   ("all",  "all",  "all",  "all",  "all",  "all",  "all"),
    Action.SEE_PROPOSALS:   (None,   "own",  "own",  "all",  "all",  "all",  None),
    Action.GIVE_FEEDBACK:   (None,   "own",  "own",  "all",  "all",  None,   None),
    Action.SEE_OUTCOMES:    (None,   None,   None,   None,   "all",  "all",  None),
    Action.SEE_INBOX:       (None,   "own",  "own",  "own",  "own",  None,   None),
    Action.ACKNOWLEDGE:     (None,   "own",  "own",  "own",  "own",  None,   None),
    Action.SEE_MAIL:        (None,   None,   None,   None,   "all",  "all",  None),
    Action.SEE_PARKED:      (None,   None,   None,   None,   None,   "all",  None),
    Action.MEND_PARKED:     (None,   None,   None,   None,   None,   "all",  None),
    Action.SUBMIT_EVENTS:   (None,   None,   None,   None,   None,   None,   "own"),
}  # fmt: skip
ROLES = (Role.ANYONE, Role.OFFICER, Role.COMPANY, Role.OFFICE, Role.SECRETARIAT, Role.OPERATOR, Role.PARTNER)
CELLS = [(role, action, far) for action, row in MATRIX.items() for role, far in zip(ROLES, row, strict=True)]


@pytest.mark.parametrize(("role", "action", "far"), CELLS)
def test_each_role_reaches_exactly_as_far_as_the_matrix_says(role: Role, action: Action, far: str | None) -> None:
    assert reach(role, action) == far


@pytest.mark.parametrize(("role", "action", "far"), CELLS)
def test_own_means_own_and_nothing_means_nothing(role: Role, action: Action, far: str | None) -> None:
    somebody = Principal(role, "account", "city-1")
    assert somebody.may(action) == (far is not None)
    assert somebody.may(action, "city-1") == (far is not None)
    assert somebody.may(action, "city-2") == (far == "all")
    assert somebody.sees_all(action) == (far == "all")


def test_the_table_has_every_role_and_every_action() -> None:
    assert set(PERMISSIONS) == set(ROLES) == set(Role)
    assert set(MATRIX) | set(EVERYBODY) == set(Action)


def test_somebody_without_an_organisation_owns_nothing() -> None:
    assert not may(Role.OFFICER, Action.SEE_INBOX, own=None, organisation_id="city-1")
