"""What goes between master and worker."""
