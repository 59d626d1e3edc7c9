"""``python -m runner.sandbox``: the sandbox as a process; the first line of its output is the base URL."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from runner.sandbox.config import SandboxConfigError
from runner.sandbox.configfile import load_config
from runner.sandbox.server import serve
from runner.sandbox.truth import TruthError


def main(arguments: list[str] | None = None) -> int:
    """Read the arguments, serve until a signal, give the exit code."""
    parser = argparse.ArgumentParser(prog="python -m runner.sandbox", description="Capillary's coupon API, for tests.")
    parser.add_argument("--truth", type=Path, required=True, help="file that holds who has which coupons")
    parser.add_argument("--port", type=int, default=0, help="0 takes any free port")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--config", type=Path, help="TOML file; see docs/sandbox.md")
    parser.add_argument("--seed", type=int, default=0, help="decides codes and chance")
    parser.add_argument("--chaos", type=int, metavar="SEED", help="random faults with this seed")
    parser.add_argument("--code-prefix", default="", help="in front of every coupon code")
    options = parser.parse_args(arguments)
    try:
        serve(
            truth_path=options.truth,
            config=load_config(options.config),
            seed=options.seed,
            chaos=options.chaos,
            host=options.host,
            port=options.port,
            code_prefix=options.code_prefix,
            on_ready=_announce,
        )
    except (SandboxConfigError, TruthError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"cannot listen on {options.host}:{options.port}: {error.strerror}\n")
        return 6
    return 0


def _announce(url: str) -> None:
    sys.stdout.write(f"{url}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
