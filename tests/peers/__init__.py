"""Real neighbours: the programs that stand in front of a server, watch it and start it."""
