"""The promise: events are read, gated, handled in a transaction, announced, sent, and sent again. Knows nothing of web pages."""
