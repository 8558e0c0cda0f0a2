"""The style sheet, icon and scripts in `assets/`, each under an address that changes with its content.

`/assets/musubi.1f0c9a2b44.css` may be kept by a browser for ever: when the content changes, so does the address.
"""

import hashlib
import mimetypes
from functools import cache
from importlib.resources import files
from typing import NamedTuple


class Asset(NamedTuple):
    """One file as it is served."""

    name: str
    content: bytes
    media_type: str


@cache
def _by_name() -> dict[str, Asset]:
    found: dict[str, Asset] = {}
    for file in files("common").joinpath("assets").iterdir():
        if not file.is_file() or file.name.startswith("."):
            continue
        content = file.read_bytes()
        stem, _, ending = file.name.rpartition(".")
        served_as = f"{stem}.{hashlib.sha256(content).hexdigest()[:10]}.{ending}"
        media_type = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        found[file.name] = Asset(served_as, content, media_type)
    return found


@cache
def _by_address() -> dict[str, Asset]:
    return {asset.name: asset for asset in _by_name().values()}


def asset_url(name: str) -> str:
    """The address of `musubi.css`. A name that is not there is a mistake in a template and raises KeyError."""
    return f"/assets/{_by_name()[name].name}"


def asset_at(served_as: str) -> Asset | None:
    """The file under this hashed name; None where there is none (or no longer)."""
    return _by_address().get(served_as)
