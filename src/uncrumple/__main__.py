"""`python -m uncrumple` does what `uncrumple` does."""

from uncrumple.cli.main import main

if __name__ == "__main__":
    main()
