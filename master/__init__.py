"""The house itself: fork, supervise, reload, upgrade, admin, command line."""
