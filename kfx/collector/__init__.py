"""The metrics collector: a small process beside every training container, ``kfx metrics-collector``.

It is a program of its own that happens to live in kfx's image. It imports nothing of the rest of kfx
and, while the training runs, little of anything: every trial pays for its memory.
"""

from kfx.collector.command import main

__all__ = ["main"]
