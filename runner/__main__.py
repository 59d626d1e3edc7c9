"""`python -m runner` and the command `coupon-runner`: until all is loaded, Ctrl-C ends it without a traceback."""

from __future__ import annotations

import os
import signal


def main() -> None:
    """The console script. Nothing is sent, locked or written before `runner.cli` runs."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where it is ignored (nohup)
        signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    from runner.cli import main as run  # what takes long: everything else

    run()


if __name__ == "__main__":
    main()
