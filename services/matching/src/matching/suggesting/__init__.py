"""Which technology a text speaks of: suggestions with the words that led to them, of which a person confirms one.

Matching itself never asks: it goes by the code that was confirmed.
"""
