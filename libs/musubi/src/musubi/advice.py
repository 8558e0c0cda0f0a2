"""The error of the command: it cannot go on, and its text tells the user what to do. Everything else is a bug."""


class CannotGoOn(Exception):
    """Shown in one line, without a traceback."""
