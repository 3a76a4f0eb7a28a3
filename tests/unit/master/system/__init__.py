"""Tests of `forkful.master.system`."""
