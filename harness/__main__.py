"""`python -m harness COMMAND`: the same as `pacer COMMAND`."""

from harness.cli import program

if __name__ == "__main__":
    program()
