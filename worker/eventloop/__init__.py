"""Accepting and counting on an event loop, and handlers that are not HTTP."""
