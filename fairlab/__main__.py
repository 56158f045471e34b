"""`python -m fairlab ...` is the command `fairlab`; workers are started this way."""

from fairlab.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
