"""The routes that every service has: is it alive, is it ready, its metrics, its interface, its schemas, the assets."""

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Depends, FastAPI
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import JSONResponse, Response

from common.access.auth import allowed
from common.access.permissions import Action
from common.contracts import freeze
from common.contracts.registry import FACTS, SUBMISSIONS, TOPICS
from common.errors import NotFound
from common.web.asset_urls import asset_at

if TYPE_CHECKING:
    from common.service import Service

FOR_EVER = "public, max-age=31536000, immutable"


def routes(service: "Service", app: FastAPI) -> APIRouter:
    """Health, metrics, `openapi.json`, `schemas/…` under `/api/<service>/`, and `/assets/…`."""
    router = APIRouter()
    api = f"/api/{service.name}"
    health = [Depends(allowed(Action.HEALTH))]
    public = [Depends(allowed(Action.READ_PUBLIC))]

    @router.get(f"{api}/livez", dependencies=health, include_in_schema=False)
    async def livez() -> JSONResponse:
        """The process answers."""
        return JSONResponse({"status": "ok"})

    @router.get(f"{api}/readyz", dependencies=health, include_in_schema=False)
    async def readyz() -> JSONResponse:
        """The service can do its work; 503 names what it waits for."""
        parts = service.readiness()
        ready = all(value is not False for value in parts.values())
        return JSONResponse({"status": "ready" if ready else "not ready", **parts}, 200 if ready else 503)

    @router.get(f"{api}/metrics", dependencies=health, include_in_schema=False)
    async def metrics() -> Response:
        """The service's own registry in Prometheus' text format."""
        return Response(generate_latest(service.telemetry.registry), media_type=CONTENT_TYPE_LATEST)

    @router.get(f"{api}/openapi.json", dependencies=public, include_in_schema=False)
    async def openapi() -> JSONResponse:
        """What this service's routes take and answer."""
        return JSONResponse(app.openapi())

    schemas = schemas_of(service.name)

    @router.get(f"{api}/schemas", dependencies=public, include_in_schema=False)
    async def schema_list() -> JSONResponse:
        """The types that this service announces and takes in, each with the address of its schema."""
        return JSONResponse({"schemas": [f"{api}/schemas/{name}.json" for name in schemas]})

    @router.get(f"{api}/schemas/{{name}}.json", dependencies=public, include_in_schema=False)
    async def schema(name: str) -> JSONResponse:
        """The JSON Schema of one type's data."""
        if name not in schemas:
            raise NotFound(
                "unknown-schema",
                {
                    "en": f"This service has no schema of that name. It has {', '.join(schemas)}.",
                    "ja": f"この名前のスキーマはありません。あるのは {'、'.join(schemas)} です。",
                },
            )
        return JSONResponse(schemas[name], media_type="application/schema+json")

    @router.get("/assets/{name}", dependencies=public, include_in_schema=False)
    async def asset(name: str) -> Response:
        """A style sheet or an icon; its address changes with its content."""
        found = asset_at(name)
        if found is None:
            raise NotFound
        return Response(found.content, media_type=found.media_type, headers={"cache-control": FOR_EVER})

    return router


def schemas_of(service_name: str) -> dict[str, dict[str, Any]]:
    """JSON Schema 2020-12 of the data of every fact that a service announces and every submission that it takes in, by type."""
    facts = [fact.type for fact in FACTS.values() if TOPICS[fact.topic].is_produced_by(service_name)]
    submissions = [submission.type for submission in SUBMISSIONS.values() if submission.service == service_name]
    return {name: freeze.schema(name) for name in [*facts, *submissions]}
