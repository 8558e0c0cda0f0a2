"""Where no mail server is configured: every mail becomes a file that any mail program opens."""

from pathlib import Path
from uuid import UUID


def write_mail(folder: Path, delivery_id: UUID, message: bytes) -> Path:
    """Write `<delivery>.eml`, whole or not at all; writing it again replaces it. Only its owner can read it: the machine's
    other users are not those whom it is for. Blocks for as long as the disk takes."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{delivery_id}.eml"
    unfinished = folder / f".{delivery_id}.unfinished"
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600, exist_ok=False)
    unfinished.write_bytes(message)  # not forced to the disk: PostgreSQL holds the same bytes
    unfinished.replace(path)
    return path
