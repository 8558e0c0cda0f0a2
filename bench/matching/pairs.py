"""Compares the kernels' points with those of the plain rules, pair by pair. `python -m bench.matching.pairs [pairs] [first seed]`

The needs and offerings are those of `matching.engine.samples`: on the edge of every step, with ties, odd numbers and too many of
everything. It ends with the first difference.
"""

import sys
import time

from matching.engine.self_check import check

NEEDS, OFFERINGS = 200, 500


def main(pairs: int, seed: int) -> None:
    begun, done, first = time.monotonic(), 0, seed
    while done < pairs:
        done += check(seed, NEEDS, OFFERINGS)
        seed += 1
    print(f"{done:,} pairs of seeds {first} to {seed - 1}: no difference, in {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    chosen = [int(one) for one in sys.argv[1:]]
    main(*[*chosen, *(1_000_000, 1)[len(chosen) :]])
