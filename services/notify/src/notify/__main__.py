"""Runs notify as a process of its own: `python -m notify`."""

import sys

from common import serving
from notify.app import create_app
from notify.settings import NotifySettings

if __name__ == "__main__":
    sys.exit(serving.run(create_app, NotifySettings))
