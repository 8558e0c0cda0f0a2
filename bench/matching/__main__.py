"""`python -m bench.matching [size]`: what matching costs by event, through the service's handlers."""

import asyncio
import sys

from bench.matching import service

asyncio.run(service.main(int(sys.argv[1]) if len(sys.argv) > 1 else service.SIZE))
