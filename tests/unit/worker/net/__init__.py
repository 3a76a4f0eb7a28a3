"""Tests of `forkful.worker.net`."""
