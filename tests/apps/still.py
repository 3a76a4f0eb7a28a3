"""Handlers that wait for their clients in ways of their own, and some that have the ball for longer than a limit."""

import asyncio
import selectors
import socket
import ssl
from os import environ
from socketserver import BaseRequestHandler, StreamRequestHandler


class Deaf(BaseRequestHandler):
    """Takes a timeout for a reason to go on."""

    def handle(self) -> None:
        while True:
            try:
                data = self.request.recv(100)
            except TimeoutError:
                continue
            if not data:
                return
            self.request.sendall(data)


class Selecting(BaseRequestHandler):
    """Waits by a selector, which no timeout of a socket reaches."""

    def handle(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self.request, selectors.EVENT_READ)
            while selector.select() and (data := self.request.recv(100)):
                self.request.sendall(data)


class Careless(StreamRequestHandler):
    """Makes a mistake of an end that it did not expect."""

    def handle(self) -> None:
        while True:
            line = self.rfile.readline()
            self.wfile.write(b"%d\n" % len(line.split()[0]))


class Lines(StreamRequestHandler):
    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(line)


class Secured(BaseRequestHandler):
    """TLS by its own hand, from within."""

    def handle(self) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(environ["CERTIFICATE"])
        with context.wrap_socket(self.request, server_side=True) as request:
            while data := request.recv(100):
                request.sendall(data)


class Pushing(BaseRequestHandler):
    """Says something all the time and hears nothing."""

    def handle(self) -> None:
        while True:
            self.request.sendall(b"tick\n")
            try:
                self.request.settimeout(0.05)
                if self.request.recv(1, socket.MSG_PEEK) == b"":
                    return
            except TimeoutError:
                continue


class Flooding(BaseRequestHandler):
    """Sends more than fits, for as long as it is taken."""

    def handle(self) -> None:
        while True:
            self.request.sendall(bytes(1 << 20))


async def flooding(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(bytes(1 << 20))
        await writer.drain()


async def pushing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"tick\n")
        await writer.drain()
        await asyncio.sleep(0.05)
