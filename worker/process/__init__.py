"""The worker as a Unix process: signals, the master's orders, stacks."""
