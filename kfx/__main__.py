"""``python -m kfx``, and what the installed commands start."""

import signal
import sys


def main() -> int:
    """What :func:`kfx.cli.main` does; a metrics collector hears SIGTERM from the first moment."""
    if sys.argv[1:2] == ["metrics-collector"]:
        # A native sidecar is told by SIGTERM that the training has ended, and may be told while Python still
        # loads: the signal then waits until the collector listens, and does not end it with nothing reported.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    from kfx import cli  # noqa: PLC0415

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
