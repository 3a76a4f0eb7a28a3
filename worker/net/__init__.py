"""A socket as every loop sees it: accepted, checked, secured, counted."""
