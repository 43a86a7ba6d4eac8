"""`python -m services.cli` is `evalratchet`."""

from services.cli import main

if __name__ == "__main__":
    main()
