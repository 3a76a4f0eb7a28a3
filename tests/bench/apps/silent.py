"""A datagram handler that does nothing: what receiving by Forkful costs."""


def silent(_data: bytes, _address: object) -> None:
    pass
