"""Runs catalog as a process of its own: `python -m catalog`."""

import sys

from catalog.app import create_app
from common import serving
from common.settings import Settings

if __name__ == "__main__":
    sys.exit(serving.run(create_app, Settings))
