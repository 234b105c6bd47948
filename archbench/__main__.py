"""`python -m archbench`."""

from archbench.cli import main

main()
