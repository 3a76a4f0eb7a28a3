"""What the operator said: addresses, the plan, settings and their sources, logging."""
