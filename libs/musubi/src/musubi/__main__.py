"""The `musubi` command where no script of that name is installed: `python -m musubi`."""

import sys

from musubi.cli import main

if __name__ == "__main__":
    sys.exit(main())
