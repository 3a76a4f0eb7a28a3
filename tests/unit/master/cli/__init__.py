"""Tests of `forkful.master.cli`."""
