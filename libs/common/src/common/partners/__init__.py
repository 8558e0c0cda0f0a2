"""What a partner's request means: its events read strictly, received once, answered item by item."""
