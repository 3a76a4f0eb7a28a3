"""HTTP over a fake transport."""
