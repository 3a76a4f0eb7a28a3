"""HTTP/1.1 to the letter; knows no application."""
