"""Tests without processes: pure code, and protocols over fake transports."""
