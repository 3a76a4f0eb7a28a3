"""What the user's code sees: handler kinds, loading, ready-made handlers."""
