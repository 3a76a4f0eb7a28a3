"""Moving over: what another server was started with, read as that server reads it, and said in our settings."""
