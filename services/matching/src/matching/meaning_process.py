"""The process that reads meaning: a line with a text in, a line with how near each technology is out, until its input ends.

`python -m matching.meaning_process`, as `matching.meaning` starts it. It writes `ready` first.
"""

import contextlib
import json
import os
import signal
import sys

from matching.suggesting.by_meaning import ByMeaning
from matching.suggesting.taxonomy import own_names

POLITE = 2
"""Events come before suggestions where cores are few; more than a little, and on a busy machine it is never its turn."""


def main() -> None:
    """Reads and answers until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the service, which closes our input when it ends
    os.nice(POLITE)
    meaning = ByMeaning(own_names())
    print("ready", flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        print(json.dumps({"asked": question["asked"], "near": meaning.of(question["text"])}), flush=True)


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        main()
