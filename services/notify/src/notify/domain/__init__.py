"""The rules of telling people: who is told, how often, by when they should answer, and what the mail says. No I/O, no clock."""
