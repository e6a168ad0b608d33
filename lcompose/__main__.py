"""``python -m lcompose``."""

from lcompose.cli import main

if __name__ == "__main__":
    main()
