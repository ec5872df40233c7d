"""``python -m kfx``, and the image's ``kfx``."""

import signal
import sys

if sys.argv[1:2] == ["metrics-collector"]:
    # A native sidecar is told by SIGTERM that the training has ended, and may be told while Python still
    # loads: the signal then waits until the collector listens, in place of ending it with nothing reported.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

from kfx.cli import main

sys.exit(main())
