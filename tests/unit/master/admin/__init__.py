"""Tests of `forkful.master.admin`."""
