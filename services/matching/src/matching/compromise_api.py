"""What keeps needs of a technology apart, for machines: pools as asked now, what divides, what each concession brings."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.responses import Response

from common.access.auth import Principal, allowed
from common.access.permissions import Action
from common.service import Service
from common.web.json_answers import private_answer
from common.web.list_parameters import Code
from matching.compromising import Compromises, compromises_of
from matching.domain.compromise import Asking, Pool, Step, cities_of, quantity_of
from matching.domain.explanation import as_json
from matching.domain.sides import Requirement

Reader = Annotated[Principal, Depends(allowed(Action.SEE_PROPOSALS))]

DIGITS = 4
"""Of distances; within Musubi they are exact fractions."""


def routes(service: Service) -> APIRouter:
    """`/api/matching/v1/compromises/{technology}`."""
    router = APIRouter(prefix="/api/matching/v1")

    @router.get("/compromises/{technology}")
    async def compromises(reader: Reader, technology: str, country: Code = None) -> Response:
        """Pools of open needs that one specification meets, what keeps the others apart, the cheapest concessions in order."""
        return private_answer(_compromises(await compromises_of(service, reader, technology, country or None)))

    return router


def _compromises(seen: Compromises) -> dict[str, Any]:
    found = seen.found
    return {
        "technology": seen.technology,
        "unit": seen.unit,
        "country": seen.country,
        **_size(seen.asking),
        "needs_left_out": seen.left_out,
        "exact": found.exact,
        "pools": [_pool(pool) for pool in found.pools],
        "alone": [one.need.id for one in found.alone],
        "dividers": [
            {
                "attribute": one.name,
                "positions": one.positions,
                "outside": {**_size(one.outside), "need_ids": [outside.need.id for outside in one.outside]},
                "freed_needs": one.freed,
            }
            for one in found.dividers
        ],
        "steps": [_step(seen, step) for step in found.steps],
        "outside": [one.need.id for one in found.outside],
        "summaries": [seen.summaries[one.need.id].model_dump() for one in seen.asking],
    }


def _size(asking: tuple[Asking, ...] | list[Asking]) -> dict[str, Any]:
    return {"needs": len(asking), "cities": cities_of(asking), "units": quantity_of(asking)}


def _pool(pool: Pool) -> dict[str, Any]:
    return {
        **_size(pool.members),
        "need_ids": [one.need.id for one in pool.members],
        "specification": [_requirement(one) for one in pool.specification],
    }


def _step(seen: Compromises, step: Step) -> dict[str, Any]:
    return {
        "need_id": step.conceding.need.id,
        "municipality": seen.summaries[step.conceding.need.id].municipality.model_dump(),
        "cost": {"needs": 1, "mandatory": step.mandatory, "distance": round(float(step.distance), DIGITS)},
        "concessions": [
            {
                "before": _requirement(one.before),
                "after": _requirement(one.after),
                "distance": round(float(one.distance), DIGITS),
                "change": as_json(one.what),
            }
            for one in step.concessions
        ],
        "joining": {**_size(step.joining), "need_ids": [one.need.id for one in step.joining]},
        "pool": _pool(step.pool),
    }


def _requirement(one: Requirement) -> dict[str, Any]:
    """As a need states it."""
    values = [value.text if value.number is None else value.number for value in one.values]
    return {
        "attribute": one.name,
        "op": one.op,
        "value": values if one.op == "in" else values[0],
        "unit": one.unit or None,
        "mandatory": one.mandatory,
    }
