"""A failure to boot that brings its own message, as when an application's start-up says no."""


class BootError(Exception):
    """The worker cannot begin to serve; `traceback` is text, empty where the message says it all."""

    def __init__(self, message: str, trace: str = "") -> None:
        super().__init__(message)
        self.traceback = trace
