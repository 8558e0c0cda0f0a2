"""Where no mail server is configured: every mail becomes a file that any mail program opens."""

import os
from pathlib import Path
from uuid import UUID


def write_mail(folder: Path, delivery_id: UUID, message: bytes) -> Path:
    """Write `<delivery>.eml`, whole or not at all; writing it again replaces it. Blocks for as long as the disk takes."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{delivery_id}.eml"
    unfinished = folder / f".{delivery_id}.unfinished"
    with unfinished.open("wb") as file:
        file.write(message)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    return path
