"""Tests of `forkful.master.model`."""
