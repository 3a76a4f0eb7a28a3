"""The receivers of the logging cookbook, and one for syslog: what they receive, they tell."""

import logging
import os
import pickle
import struct
from pathlib import Path
from socketserver import BaseRequestHandler, DatagramRequestHandler, StreamRequestHandler


def tell(event: str) -> None:
    with Path(os.environ["EVENTS"]).open("a") as events:
        events.write(f"{event}\n")


class LogRecordStreamHandler(StreamRequestHandler):
    """Handler for a streaming logging request (docs.python.org, logging cookbook)."""

    def handle(self) -> None:
        while True:
            chunk = self.connection.recv(4)
            if len(chunk) < 4:
                break
            slen = struct.unpack(">L", chunk)[0]
            chunk = self.connection.recv(slen)
            while len(chunk) < slen:
                chunk = chunk + self.connection.recv(slen - len(chunk))
            record = logging.makeLogRecord(pickle.loads(chunk))
            tell(f"{record.levelname} {record.name}: {record.getMessage()}")


class LogRecordDatagramHandler(DatagramRequestHandler):
    """The same for `logging.handlers.DatagramHandler`: one record in a datagram."""

    def handle(self) -> None:
        record = logging.makeLogRecord(pickle.loads(self.packet[4:]))
        tell(f"{record.levelname} {record.name}: {record.getMessage()}")


class SyslogHandler(BaseRequestHandler):
    """The recipe that is copied everywhere: a syslog server in three lines."""

    def handle(self) -> None:
        data = bytes.decode(self.request[0].strip())
        tell(f"syslog {data}")
