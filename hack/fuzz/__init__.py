"""Hostile input for everything that reads what users and trials write: ``python -m hack.fuzz TARGET``.

One module a target, each with a ``TARGET``. tests/unit/hack/fuzz gives each a few examples on every run.
"""
