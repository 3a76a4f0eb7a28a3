"""What master and worker say to each other and share."""
