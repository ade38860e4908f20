"""`python -m amodal`: the same as `amodal`."""

from amodal.cli import main

if __name__ == "__main__":
    main()
