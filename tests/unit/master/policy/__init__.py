"""Tests of `forkful.master.policy`."""
