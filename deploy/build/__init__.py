"""How the wheel with a compiled HTTP path is made."""
