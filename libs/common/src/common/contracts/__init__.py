"""What the services say to each other: one module per producer, frozen JSON Schemas in `schemas/`."""
