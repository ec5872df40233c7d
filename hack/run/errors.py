"""What ends a run before its time."""


class RunError(Exception):
    """A sentence that names what is wrong and what to do; ``status`` is the exit status."""

    def __init__(self, text: str, *, status: int = 1) -> None:
        super().__init__(text)
        self.status = status
