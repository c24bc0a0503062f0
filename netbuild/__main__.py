"""`python -m netbuild` is the program `netbuild`."""

from netbuild.cli import main

if __name__ == "__main__":
    main()
