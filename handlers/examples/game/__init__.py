"""A network game: an arena of rooms over UDP, and a page on which browsers play in the same rooms by WebSockets.

`forkful demo game` starts all of it; what it is made of stands in `game.md` beside this package.
"""

from forkful.handlers.examples.game.arena import Arena
from forkful.handlers.examples.game.page import page

__all__ = ["Arena", "page"]
