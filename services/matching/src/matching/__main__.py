"""Runs matching as a process of its own: `python -m matching`."""

import sys

from common import serving
from common.settings import Settings
from matching.app import create_app

if __name__ == "__main__":
    sys.exit(serving.run(create_app, Settings))
