"""A fresh job file, which holds every key with a comment about it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from runner.core.job_keys import KEYS, TABLES

_GIVEN = ("timezone", "empty", "guards.max_coupons")
"""Keys that a fresh job file sets, beside the required ones, so that it runs as it is."""


def job_name_problem(name: str) -> str | None:
    """What is wrong with the name of a job, or None: it becomes the name of a file."""
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", name, re.ASCII):
        return None
    return "a job's name is made of letters, digits, - and _, at most 64, and begins with a letter or digit"


def commented_job(name: str, *, org: str | None) -> str:
    """A job file that holds every key: what it means, its default and unit. What has a default is commented out."""
    values = {
        "input": f'"in/{name}-{{date:%Y-%m-%d}}*.csv"',
        "campaign": f'"{name}-{{date:%Y-%m}}"',
        "timezone": '"UTC"',
        "empty": '"fail"',
        "guards.max_coupons": "1000",
    }
    if org is not None:
        values["org"] = '"' + org.replace("\\", "\\\\").replace('"', '\\"') + '"'
    lines = [
        f"# The job {name}: coupon-runner run --job jobs/{name}.toml --yes",
        "# Lines that begin with # and a key show its default or an example; take the # away to set it.",
        "# Relative paths start in the folder where the command is started. docs/jobs.md tells more.",
    ]
    table = ""
    for key in KEYS:
        if key.table != table:
            table = key.table
            lines += ["", f"[{table}] # {TABLES[table]}"]
        words = f"{key.what}."
        about = "required" if key.required else f"default: {key.default}"
        unit = f"; {key.unit}" if key.unit else ""
        given = key.required or key.name in _GIVEN or key.name in values
        shown = f"{key.leaf} = {values.get(key.name, key.example)}"
        lines += ["", *_comment(f"{words} ({about}{unit})"), shown if given else f"# {shown}"]
    return "\n".join(lines) + "\n"


def _comment(text: str) -> Iterator[str]:
    line = "#"
    for word in text.split():
        if len(line) + 1 + len(word) > 110:
            yield line
            line = "#"
        line += f" {word}"
    yield line
