"""What holds for every route of every service: it declares a permission, carries the headers, and answers nonsense calmly."""

import re
from collections.abc import Callable, Iterator
from importlib.resources import files

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import RouteContext, iter_route_contexts

import catalog.app
import matching.app
import needs.app
import notify.app
from common import migrate
from common.access import identity
from common.access.auth import Allowed
from common.access.permissions import Action, Role, reach
from common.settings import Settings
from notify.settings import NotifySettings

Make = Callable[[str], FastAPI]


def _with(create_app: Callable[[NotifySettings], FastAPI]) -> Make:
    return lambda dsn: create_app(NotifySettings.model_validate({"postgres": dsn, "kafka": "unused", "local_sign_in": True}))


def _plain(create_app: Callable[[Settings], FastAPI]) -> Make:
    return lambda dsn: create_app(Settings(postgres=dsn, kafka="unused", local_sign_in=True))


SERVICES: dict[str, Make] = {
    "needs": _plain(needs.app.create_app),
    "catalog": _plain(catalog.app.create_app),
    "matching": _plain(matching.app.create_app),
    "notify": _with(notify.app.create_app),
}
WITHOUT_SIGNING_IN = {
    Action.READ_PUBLIC, Action.HEALTH, Action.SEE_HOME, Action.SEE_NEEDS, Action.SEE_OFFERINGS, Action.SIGN_OUT,
}  # fmt: skip
STRANGE = ["0", "' OR 1=1 --", "%00", "..%2f..%2fetc%2fpasswd", "ü" * 300, "00000000-0000-0000-0000-000000000000"]


def actions_of(route: RouteContext) -> set[Action]:
    """What a route asks the permission table for, itself or through the routers that it is in."""

    def walk(dependant: object) -> Iterator[Action]:
        for dependency in getattr(dependant, "dependencies", []):
            if isinstance(dependency.call, Allowed):
                yield dependency.call.action
            yield from walk(dependency)

    return set(walk(getattr(route, "dependant", None)))


@pytest.mark.parametrize("name", SERVICES)
def test_every_route_declares_what_it_lets_its_caller_do(name: str) -> None:
    routes = list(iter_route_contexts(SERVICES[name]("unused").routes))
    assert len(routes) > 8
    assert [route.path for route in routes if not actions_of(route)] == []


@pytest.mark.parametrize("name", SERVICES)
def test_no_route_that_changes_something_is_open_to_anyone_but_signing_in_and_out(name: str) -> None:
    open_to_anyone = {
        route.path
        for route in iter_route_contexts(SERVICES[name]("unused").routes)
        if (route.methods or set()) - {"GET", "HEAD"} and all(reach(Role.ANYONE, action) for action in actions_of(route))
    }
    assert open_to_anyone <= {"/sign-in/{token}", "/sign-out"}


@pytest.mark.parametrize("name", SERVICES)
def test_what_could_not_be_handled_is_shown_and_mended_by_operators_only(name: str) -> None:
    held = [
        route
        for route in iter_route_contexts(SERVICES[name]("unused").routes)
        if route.path and route.path.startswith((f"/{name}/parked", f"/{name}/quarantine"))
    ]
    assert len(held) == 10
    for route in held:
        needed = Action.MEND_PARKED if "POST" in (route.methods or ()) else Action.SEE_PARKED
        assert actions_of(route) == {needed}, route.path
        assert [role for role in Role if reach(role, needed)] == [Role.OPERATOR]


def test_what_anyone_may_do_is_what_is_meant_to_be_open() -> None:
    assert {action for action in Action if reach(Role.ANYONE, action)} == WITHOUT_SIGNING_IN


@pytest.mark.parametrize("name", SERVICES)
async def test_every_page_and_answer_is_protected_and_nothing_strange_in_an_address_is_a_bug(name: str, postgres: str) -> None:
    app = SERVICES[name](postgres)
    service = app.state.service
    folders = {"messaging": files("common") / "migrations" / "messaging", name: files(name) / "migrations"}
    await migrate.apply(postgres, name, folders)
    await identity.prepare(postgres)
    await service.database.open()
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8600") as caller:
            for route in iter_route_contexts(app.routes):
                if "GET" not in (route.methods or ()) or route.path is None:
                    continue
                for strange in STRANGE if "{" in route.path else [""]:
                    answer = await caller.get(re.sub(r"\{[^}]+\}", strange, route.path))
                    where = f"{route.path} with {strange!r}"
                    ready = route.path.endswith("/readyz")  # nothing runs in the background here
                    assert answer.status_code < 500 or ready, f"{where}: {answer.status_code} {answer.text[:200]}"
                    assert answer.headers["x-content-type-options"] == "nosniff", where
                    assert "default-src 'self'" in answer.headers["content-security-policy"], where
    finally:
        await service.database.close()
