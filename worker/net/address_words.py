"""Socket addresses as text, as logs, stacks and status show them."""


def in_words(peer: object) -> str:
    """A peer's or a listener's address in words; any shape that accept(2) or getsockname(2) gives."""
    match peer:
        case (str(host), int(port), *_):
            return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        case bytes(name):
            return f"@{name[1:].decode(errors='replace')}"
        case str(path) if path:
            return path
        case None | "":
            return "a local socket without a name"
    return str(peer)
