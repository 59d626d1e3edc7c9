"""Job files and what they name on this machine: TOML with the lines of its keys, variables, time zones, input files."""

from __future__ import annotations

import glob
import os
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, tzinfo
from functools import cached_property
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

from runner.core.job_dates import fill_date
from runner.core.job_keys import PATHS
from runner.core.jobspec import JobProblem, JobSpec, read_spec
from runner.core.wording import closest
from runner.errors import UsageError

_VARIABLE = re.compile(r"\$\{([^{}]*)\}")
_WILD = re.compile(r"[*?\[]")
_SEPARATORS = tuple({"/", os.sep})


@dataclass(frozen=True, kw_only=True)
class JobFile:
    """A job file as it was read. `problems`: all of its own, one sentence each, with their lines."""

    path: Path
    spec: JobSpec
    zone: tzinfo | None
    text: str
    found: Sequence[JobProblem]

    @property
    def name(self) -> str:
        """The job's name: that of its file."""
        return self.path.stem

    @property
    def problems(self) -> list[str]:
        """What is wrong with it, in the order of its lines."""
        ordered = sorted(self.found, key=lambda problem: self.lines.get(problem.key, 0))
        return [f"{self.told(problem.key)}: {problem.text}" for problem in ordered]

    def told(self, key: str) -> str:
        """A key and where it stands: "jobs/nightly.toml, line 12: pace.rate"."""
        line = self.lines.get(key)
        place = f"job file {self.path}" + (f", line {line}" if line is not None else "")
        return f"{place}: {key}" if key else place

    @cached_property
    def lines(self) -> Mapping[str, int]:
        """The line of each key; only worked out when something is wrong."""
        return lines_of(self.text)


def read_job(path: Path, environment: Mapping[str, str]) -> JobFile:
    """Read a job file and everything that it names but its input files, which `find_inputs` looks for.

    Raises:
        UsageError: there is no such file, or it is no TOML in UTF-8, with the line where that shows.
    """
    text = _read(path)
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(_not_toml(path, str(error))) from None
    spec, problems = read_spec(document)
    zone: tzinfo | None = None
    if spec.timezone is not None:
        try:
            zone = ZoneInfo(spec.timezone)
        except (KeyError, ValueError, OSError):  # no such zone; no name of a zone; a folder of zones
            problems.append(JobProblem("timezone", _no_zone(spec.timezone)))
    named = [("input", text) for text in spec.input]
    named += [(key.name, str(spec.settings.get(str(key.option), ""))) for key in PATHS]
    problems += [JobProblem(key, problem) for key, text in named if (problem := _variable_problem(text, environment))]
    return JobFile(path=path, spec=spec, zone=zone, text=text, found=problems)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UsageError(
            f"There is no job file {path}. Name one that is there, or write one with: coupon-runner init --job NAME"
        ) from None
    except IsADirectoryError:
        raise UsageError(f"{path} is a folder. Name the job file in it.") from None
    except UnicodeDecodeError as error:
        before = error.object[: error.start].count(b"\n") + 1
        raise UsageError(f"job file {path}, line {before}: is not UTF-8 text; save it as UTF-8") from None
    except OSError as error:
        raise UsageError(f"The job file {path} cannot be read: {error.strerror}.") from None


def _not_toml(path: Path, message: str) -> str:
    found = re.fullmatch(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", message, re.DOTALL)
    if found is None:
        return f"job file {path}: is not valid TOML: {message}"
    if found[2] is None:
        return f"job file {path}, at its end: is not valid TOML: {found[1]}"
    return f"job file {path}, line {found[2]}, column {found[3]}: is not valid TOML: {found[1]}"


def lines_of(text: str) -> dict[str, int]:
    """The line on which each key of a valid TOML text begins, keys with their tables joined by dots.

    A text cut off after some line is either valid or in the middle of a value; so a key that appears when one more
    line makes it valid began on the line after the last valid cut.
    """
    found: dict[str, int] = {}
    lines = text.splitlines(keepends=True)
    valid = 0
    for number in range(1, len(lines) + 1):
        try:
            document = tomllib.loads("".join(lines[:number]))
        except tomllib.TOMLDecodeError:
            continue
        for key in _keys(document):
            found.setdefault(key, valid + 1)
        valid = number
    return found


def _keys(table: Mapping[str, object], prefix: str = "") -> list[str]:
    every = []
    for name, value in table.items():
        every.append(f"{prefix}{name}")
        if isinstance(value, dict):
            every += _keys(value, f"{prefix}{name}.")
    return every


def _no_zone(name: str) -> str:
    known = {zone.casefold(): zone for zone in available_timezones()}
    close = closest(name.strip().casefold(), known)
    hint = f"did you mean {known[close]}?" if close else 'write a name such as "Asia/Kolkata" or "UTC"'
    return f'there is no time zone "{name}"; {hint}'


# ── paths ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _variable_problem(text: str, environment: Mapping[str, str]) -> str | None:
    for name in _VARIABLE.findall(text):
        if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) is None:
            return f"${{{name}}} is no name of a variable"
        if not environment.get(name):
            return f"the environment variable {name} is not set, or empty, and ${{{name}}} stands in the path"
    return None


def variables_of(spec: JobSpec) -> list[str]:
    """The names of the variables in a job's paths, each once."""
    texts = [*spec.input, *(str(spec.settings.get(str(key.option), "")) for key in PATHS)]
    return list(dict.fromkeys(name for text in texts for name in _VARIABLE.findall(text)))


def fill_variables(text: str, environment: Mapping[str, str], treat: Callable[[str], str] = lambda value: value) -> str:
    """The path with its variables, each as `treat` gives it; `read_job` has made sure that they are set."""
    return _VARIABLE.sub(lambda match: treat(environment[match[1]]), text)


def find_inputs(patterns: Sequence[str], day: date | None, environment: Mapping[str, str]) -> list[Path]:
    """The files that a job's input names on this date, in the order of the patterns, sorted by name, each once.

    A wildcard takes no folder, no lock file of a spreadsheet program (`~$…`, `.~lock…`) and no other dotfile. What a
    variable holds is taken as it is, wildcards too.

    Raises:
        UsageError: the folder before the first wildcard or date is not there: nothing can be told about its files.
    """
    found: list[Path] = []
    for pattern in patterns:
        fixed = _fixed_folder(pattern, environment)
        if not fixed.is_dir():
            raise UsageError(
                f"The folder {fixed} of the job's input {pattern} is not there: whether there is a file is not known."
                " Mount or create it, or correct the path."
            )
        exact = Path(fill_variables(fill_date(pattern, day), environment)).expanduser()
        if exact.is_file():
            found.append(exact)
            continue
        if exact.is_dir():
            raise UsageError(f"The job's input {pattern} is the folder {exact}. Name the files in it: {pattern}/*.csv")
        wild = str(Path(fill_variables(fill_date(pattern, day), environment, glob.escape)).expanduser())
        if _WILD.search(pattern):
            names = glob.glob(wild, recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
            found += sorted(path for path in map(Path, names) if _is_input(path))
    return list(dict.fromkeys(found))


def _is_input(path: Path) -> bool:
    return path.is_file() and not path.name.startswith((".", "~$"))


def _fixed_folder(pattern: str, environment: Mapping[str, str]) -> Path:
    """The folder before the first wildcard or date, or before the file's name when there is none."""
    plain = _VARIABLE.sub(lambda match: "x" * len(match[0]), pattern)
    changing = re.search(r"[*?\[{]", plain)
    head = fill_variables(pattern[: changing.start()] if changing else pattern, environment)
    return (Path(head) if head.endswith(_SEPARATORS) else Path(head).parent).expanduser()


def write_new(path: Path, text: str) -> None:
    """Write a job file that is not there yet.

    Raises:
        UsageError: it is there, and stays as it is; or it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"The folder {path.parent} cannot be made: {error.strerror}.") from None
    try:
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{path} is there already and was not changed. Edit it, or choose another name.") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.") from None
