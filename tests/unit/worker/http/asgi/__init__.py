"""Tests of `forkful.worker.http.asgi`."""
