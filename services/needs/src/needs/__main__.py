"""Runs needs as a process of its own: `python -m needs`."""

import sys

from common import serving
from common.settings import Settings
from needs.app import create_app

if __name__ == "__main__":
    sys.exit(serving.run(create_app, Settings))
