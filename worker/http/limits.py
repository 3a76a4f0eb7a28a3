"""What a client may ask of us: sizes, and how long it may take. Bytes and seconds; 0 is off where it says so."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Defaults are Gunicorn's where it has them; the times are those of Apache's mod_reqtimeout and nginx."""

    line: int = 4094
    fields: int = 100
    field_size: int = 8190
    head: int = 65_536  # of all lines together
    body: int = 0  # 0: no limit
    websocket_size: int = 16 * 1024 * 1024  # of one message, unpacked; 0: no limit
    websocket_compression: bool = True
    websocket_ping: float = 20.0  # seconds of silence until a peer is asked whether it is there; 0: never
    keep_alive: float = 2.0
    header_timeout: float = 20.0
    body_timeout: float = 20.0  # and a second more for each `body_rate` bytes that came
    body_rate: int = 500
    write_timeout: float = 60.0  # in which a client takes nothing of an answer that waits for it

    @property
    def harmless(self) -> int:
        """No line of a head up to this long can be too long, nor the head itself."""
        return min(self.line, self.field_size, self.head)
