"""One thread per lane accepts, calls the handler, counts."""
