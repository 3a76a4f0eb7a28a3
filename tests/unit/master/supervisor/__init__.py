"""Tests of `forkful.master.supervisor`."""
