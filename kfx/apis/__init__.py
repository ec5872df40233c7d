"""Wire types, one module per kind or group. Types only: no decisions, no I/O."""
