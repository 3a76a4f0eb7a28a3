"""Tests of `forkful.worker.http.wsgi`."""
