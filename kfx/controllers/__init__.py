"""Reconcilers: read from the cache, let :mod:`kfx.katib` decide, let the writer write."""
