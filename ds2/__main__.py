"""`python -m ds2`: the command line, where its script is not on the path."""

from ds2.cli.app import main

if __name__ == "__main__":
    main()
