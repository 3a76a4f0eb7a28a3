"""Tests of `forkful.worker`."""
