"""`python -m runner`: the same as the command `coupon-runner`."""

from runner.cli import main

main()
