"""What can go wrong between kfx and a registry. No text holds a login, a token or what a registry wrote."""


class RegistryError(Exception):
    """The image cannot be read, and will not be by trying again; the text says why and what would help."""


class RegistryUnavailable(RegistryError):
    """The registry gave no usable answer this time."""
