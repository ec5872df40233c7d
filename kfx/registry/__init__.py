"""Reads from an image registry what a container without a command would run.

OCI distribution, pull side only: a manifest, for an index the one of a platform, its configuration. Nothing
here knows Kubernetes objects but the two Secret types that hold logins.
"""
