"""The failure to boot that has words of its own, as when an application's start-up says no.

Can go wrong: this is what can go wrong.
"""


class BootError(Exception):
    """The worker cannot begin to serve; `traceback` is text, empty where the message says it all."""

    def __init__(self, message: str, trace: str = "") -> None:
        super().__init__(message)
        self.traceback = trace
