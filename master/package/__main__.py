"""`python -m forkful`: the command line."""

from forkful.master.cli import main

if __name__ == "__main__":
    main()
