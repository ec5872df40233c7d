"""What a person asks of a cluster: ``kfx get``, ``kfx describe`` and ``kfx explain``. They only read.

Each module is loaded when its command is run, so that ``kfx -h`` pays for none.
"""
