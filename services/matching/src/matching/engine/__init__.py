"""Finds the best offerings for a need, and the needs that an offering concerns, exactly and in microseconds. No I/O, no clock.

Meaning stays in `matching.domain`: what is here only counts the same points faster, and asks there wherever it cannot be sure.
"""
