"""Tests of the examples, without processes."""
