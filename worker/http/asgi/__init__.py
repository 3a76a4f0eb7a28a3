"""An ASGI application behind HTTP."""
