"""A WSGI application behind HTTP."""
