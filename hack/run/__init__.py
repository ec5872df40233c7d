"""``make run``: one real Experiment from its submission to its end, watched in a table.

``local`` runs kfx on this machine beside a throw-away cluster, ``remote`` installs it into a cluster of the
user's; both then go through ``experiment`` (submit), ``follow`` (watch) and ``report`` (show).
"""
