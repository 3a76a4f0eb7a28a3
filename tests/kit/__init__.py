"""The test kit: a real server as a fixture, whose teardown is a test."""
