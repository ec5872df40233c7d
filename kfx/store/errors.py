"""What can go wrong with the store, each with its remedy."""


class StoreError(Exception):
    """The store cannot be opened or does not answer now. The text names the file and the remedy."""


class BadTime(ValueError):
    """A time in a request is not RFC 3339."""

    def __init__(self, what: str, text: str, reason: str) -> None:
        super().__init__(f"Error parsing {what} time {text}: {reason}")


class AmbiguousTrial(Exception):
    """Trials of one name in several namespaces have rows, and the caller named no namespace."""

    def __init__(self, trial: str, namespaces: list[str]) -> None:
        places = " and ".join(f"{namespace}/{trial}" for namespace in sorted(namespaces))
        super().__init__(
            f"trial {trial} is ambiguous: {places}; send the namespace as metadata kfx-namespace"
        )
        self.namespaces = tuple(sorted(namespaces))
