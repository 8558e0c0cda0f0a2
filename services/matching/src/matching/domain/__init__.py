"""The rules of matching: which offering fits which need, how well, and why. No I/O, no clock."""
