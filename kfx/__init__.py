"""kfx: a controller runtime, and Katib's controllers built on it, in one process."""

__version__ = "0.1.0"
