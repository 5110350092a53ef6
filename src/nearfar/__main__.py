"""`python -m nearfar`, which torchrun needs."""

from nearfar.cli.main import main

if __name__ == "__main__":
    main()
