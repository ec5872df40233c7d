"""Admission handlers: I/O around the decisions of :mod:`kfx.katib`."""
