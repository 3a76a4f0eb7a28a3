"""Tests of `forkful.worker.blocking`."""
