"""What every list takes in its address: filters, the page for people, limit and cursor for machines."""

from typing import Annotated

from fastapi import Query

from common.web.addresses import CODE

Code = Annotated[str | None, Query(pattern=CODE)]
PageNumber = Annotated[int, Query(ge=1, le=100_000)]
Limit = Annotated[int, Query(ge=1, le=100)]
Cursor = Annotated[str | None, Query(alias="cursor", max_length=200, description="`next` of the answer before")]
