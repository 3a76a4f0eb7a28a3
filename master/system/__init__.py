"""What only the kernel and the service manager know."""
