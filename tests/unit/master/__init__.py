"""Tests of `forkful.master`."""
