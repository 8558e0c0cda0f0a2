"""What an operator may do with what is held back, and how it is written down: parked events, quarantine, replay, audit."""
