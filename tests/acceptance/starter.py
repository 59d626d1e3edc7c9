"""Starts commands quickly: imports the program once, then forks a real process for each command.

Every command is a process of its own: own memory, signals, working folder, environment and standard streams. Only the
second that Python needs to import the program is saved. `ACCEPTANCE_START=python` starts `python -m runner`
instead.

Run as `python -m tests.acceptance.starter SOCKET`; it ends when its standard input does. A request is one JSON object
with the three streams attached; the answer is one line with the process id and, at its end, one line with the exit
status.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import sys
from typing import Any, NoReturn

BESIDES = ("pandas", "uvloop", "email_validator", "sqlalchemy.dialects.sqlite.pysqlite")
"""What no module of the program imports before it needs it."""


def main() -> None:
    import runner
    from runner.cli.requests import app
    from runner.cli.variables import parser_of

    modules = [module.name for module in pkgutil.walk_packages(runner.__path__, "runner.")]
    for name in [*BESIDES, *modules]:
        importlib.import_module(name)
    parser_of(app)

    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(sys.argv[1])
        listening.listen(16)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            ready, _, _ = select.select([listening, sys.stdin], [], [])
            if sys.stdin in ready:
                return
            connection, _ = listening.accept()
            with connection:
                if not os.fork():
                    listening.close()
                    _mind(connection)


def _mind(connection: socket.socket) -> NoReturn:
    """Start one command, tell its process id and, when it has ended, its exit status."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    data, streams, _, _ = socket.recv_fds(connection, 1 << 20, 3)
    child = os.fork()
    if not child:
        connection.close()
        _become(json.loads(data), streams)
    for stream in streams:
        os.close(stream)
    connection.sendall(f"{child}\n".encode())
    _, status = os.waitpid(child, 0)
    connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _become(request: dict[str, Any], streams: list[int]) -> NoReturn:
    """Run the command in this process, as `python -m` would."""
    os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    for stream in streams:
        if stream > 2:
            os.close(stream)
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False, buffering=1)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    code: int | str | None = 1
    try:
        if request["module"] == "runner":
            from runner.cli import main as run

            sys.argv = ["coupon-runner", *request["arguments"]]
            run()
        else:
            from runner.sandbox.__main__ import main as serve

            code = serve(request["arguments"])
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 1)


if __name__ == "__main__":
    main()
