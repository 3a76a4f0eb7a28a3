"""The admin child; it never sees the master's state, only documents."""
