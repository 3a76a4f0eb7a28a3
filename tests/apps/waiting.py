"""A module whose import takes until somebody closes the other end of its socket."""

import os
import socket
from socketserver import BaseRequestHandler

with socket.socket(fileno=int(os.environ["WAIT_FD"])) as sock:
    sock.sendall(b"!")
    sock.recv(1)


class Handler(BaseRequestHandler): ...
