"""Tests of `forkful.worker.eventloop`."""
