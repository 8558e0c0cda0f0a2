"""What the product says of itself, for comparing what a deployment says: its routes, its settings, its topics."""

import importlib
from functools import cache

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from common.settings import Settings
from musubi import doctor_settings, roles
from notify.settings import NotifySettings

SERVICES = roles.SERVICES
SCHEMAS = (roles.IDENTITY, *roles.SERVICES)


def settings_of(service: str) -> type[Settings]:
    """The settings that a service reads."""
    return NotifySettings if service == "notify" else Settings


def variables_of(service: str) -> set[str]:
    """The environment variables that a service knows."""
    return doctor_settings.read_by(settings_of(service))


def variables_of_the_command() -> set[str]:
    """Those that the `musubi` command knows."""
    return doctor_settings.known()


@cache
def application(service: str) -> FastAPI:
    """The service put together; nothing is opened."""
    settings = settings_of(service)(postgres="postgresql:///nowhere", kafka="nowhere:9092")
    return importlib.import_module(f"{service}.app").create_app(settings)


def answers(service: str, path: str) -> bool:
    """Whether the service has a route with exactly this path."""
    return any(route.path == path for route in iter_route_contexts(application(service).routes))
