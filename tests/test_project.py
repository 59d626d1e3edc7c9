"""The project's own files tell the truth: requirements, Makefile, architecture page, and no package index named."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import tomllib
from collections import Counter
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ("requirements.txt", "requirements-dev.txt", "requirements-soak.txt")
MAKE_TARGETS = {"help", "setup", "demo", "check", "test", "soak", "bench", "sandbox", "lock"}

# Written in two halves, so that this file does not name what it forbids.
REGISTRY_HOSTS = [
    first + second
    for first, second in [
        ("pypi.", "org"),
        ("pypi.", "python.org"),
        ("python", "hosted.org"),
        ("anaconda.", "org"),
        ("registry.npm", "js.org"),
        ("registry.yarn", "pkg.com"),
        ("npm", "mirror.com"),
        ("deb.", "debian.org"),
        ("archive.", "ubuntu.com"),
        ("crates", ".io"),
        ("rubygems", ".org"),
        ("proxy.go", "lang.org"),
        ("docker", ".io"),
    ]
]
INDEX_ADDRESSES = re.compile(
    r"--(?:extra-|default-)?index" + r"(?:-url)?[= ]"  # given to pip or uv
    r"|--find" + r"-links[= ]|--trusted" + r"-host"
    r"|(?:PIP|UV)_(?:DEFAULT_|EXTRA_)?INDEX" + r"(?:_URL)?\b"
    r"|^\s*-[if]\s+\S+:/" + r"/"  # the short form, in a requirements file
    r"|^\s*(?:extra-)?index" + r"-url\s*=",  # in a configuration file
    re.MULTILINE | re.IGNORECASE,
)


def tracked_text_files() -> list[Path]:
    """All files of the project that are text: those git has or would take, or, without git, all outside dot folders."""
    if shutil.which("git") and (ROOT / ".git").exists():
        listing = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            check=True,
            capture_output=True,
        ).stdout.decode()
        paths = [ROOT / name for name in listing.split("\0") if name]
    else:
        made = {".venv", ".lock-venv", ".demo", "coupon-runs", "build", "dist"}
        paths = [path for path in ROOT.rglob("*") if not made & set(path.relative_to(ROOT).parts)]
    return [path for path in paths if path.is_file() and b"\0" not in path.read_bytes()[:8192]]


def requirement_lines(name: str) -> list[str]:
    """The logical lines of a requirements file: comments and blank lines gone, continued lines joined."""
    text = re.sub(r"\\\n\s*", " ", (ROOT / name).read_text(encoding="utf-8"))
    return [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def locked(name: str) -> dict[str, set[str]]:
    """What a locked file pins: canonical name → versions (more than one when the platform or the Python decides)."""
    pins: dict[str, set[str]] = {}
    for line in requirement_lines(name):
        requirement = Requirement(line.split(" --hash=")[0])
        pins.setdefault(canonicalize_name(requirement.name), set()).add(str(requirement.specifier))
    return pins


def asked(lines: list[str]) -> dict[str, Requirement]:
    """Requirements by canonical name."""
    requirements = [Requirement(line) for line in lines if not line.startswith("-r ")]
    return {canonicalize_name(requirement.name): requirement for requirement in requirements}


def project() -> dict[str, object]:
    """The [project] table of pyproject.toml."""
    table: dict[str, object] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return table


def project_dependencies() -> dict[str, Requirement]:
    """The dependencies of pyproject.toml by canonical name."""
    dependencies = project()["dependencies"]
    assert isinstance(dependencies, list)
    return asked(dependencies)


# ---------------------------------------------------------------- no index, no host


def test_no_file_names_a_package_registry_or_an_index_address() -> None:
    """Where packages come from is the setting of the machine that installs them."""
    files = tracked_text_files()
    assert ROOT / "pyproject.toml" in files, "the listing of files is broken"
    found = []
    for path in files:
        text = path.read_bytes().decode("utf-8", errors="replace")
        found += [f"{path.relative_to(ROOT)}: {host}" for host in REGISTRY_HOSTS if host in text.lower()]
        found += [f"{path.relative_to(ROOT)}: {match.group()!r}" for match in INDEX_ADDRESSES.finditer(text)]
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "--index" + "-url https://example.invalid/simple",
        "--extra-index" + "-url=https://example.invalid/simple",
        "--default-index" + " https://example.invalid/simple",
        "--find" + "-links /opt/wheels",
        "-i" + " https://example.invalid/simple",
        "index" + "-url = https://example.invalid/simple",
        "PIP_" + "INDEX_URL=x",
        "UV_" + "INDEX_URL=x",
    ],
)
def test_an_index_address_would_be_found(line: str) -> None:
    """The search above is not blind."""
    assert INDEX_ADDRESSES.search(f"# first\n{line}\n")


# ---------------------------------------------------------------- requirements


@pytest.mark.parametrize("name", LOCKS)
def test_every_requirement_is_pinned_and_hashed(name: str) -> None:
    """A locked file holds exact versions with sha256 hashes, and neither options nor addresses."""
    lines = requirement_lines(name)
    assert lines
    pin = re.compile(r"[A-Za-z0-9._-]+==[^\s;=*,]+( ; [^@\\]+?)?(\s+--hash=sha256:[0-9a-f]{64})+")
    assert [line[:80] for line in lines if not pin.fullmatch(line)] == []
    assert "://" not in (ROOT / name).read_text(encoding="utf-8")


def test_pyproject_and_requirements_in_ask_for_the_same() -> None:
    """One list of dependencies, written in two files."""
    assert {str(r) for r in project_dependencies().values()} == {
        str(r) for r in asked(requirement_lines("requirements.in")).values()
    }


@pytest.mark.parametrize(("source", "lock"), [(name.replace(".txt", ".in"), name) for name in LOCKS], ids=str)
def test_what_is_asked_for_is_pinned_within_its_bounds(source: str, lock: str) -> None:
    """Each name of the source is in the locked file, with a version that the source admits."""
    pins = locked(lock)
    wrong = [
        f"{requirement}: pinned {versions or 'nowhere'}"
        for name, requirement in asked(requirement_lines(source)).items()
        if not (versions := pins.get(name, set()))
        or not all(requirement.specifier.contains(version.removeprefix("==")) for version in versions)
    ]
    assert wrong == []


def test_the_locked_files_agree_with_each_other() -> None:
    """What is tested is what is shipped: the wider files hold the narrower one's pins unchanged."""
    runtime, development, soak = (set(requirement_lines(name)) for name in LOCKS)
    assert runtime <= development <= soak


def test_the_build_backend_is_pinned_for_an_offline_install_of_the_project() -> None:
    """`make setup` installs the project with --no-index, which needs the backend among the pins."""
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]
    pins = locked("requirements-dev.txt")
    for requirement in map(Requirement, build["requires"]):
        (version,) = pins[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version.removeprefix("=="))


# ---------------------------------------------------------------- Makefile


def test_every_make_target_has_a_help_line() -> None:
    """`make` alone lists every target with one line that says what it does."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z][a-z-]*):(?!=)(.*)$", makefile, re.MULTILINE)
    assert {name for name, _ in targets} == MAKE_TARGETS
    assert [name for name, rest in targets if not re.search(r"## \S.{10,}$", rest)] == []
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert set(phony.split()) == MAKE_TARGETS


# ---------------------------------------------------------------- architecture page


def modules_on_disk() -> set[str]:
    """Each module of runner/, without the __init__.py files that define nothing."""
    modules = set()
    for path in (ROOT / "runner").rglob("*.py"):
        if path.name == "__init__.py":
            body = ast.parse(path.read_text(encoding="utf-8")).body
            if not any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) for node in body):
                continue
        modules.add(path.relative_to(ROOT).as_posix())
    return modules


def test_the_architecture_page_lists_each_module_exactly_once() -> None:
    """docs/architecture.md has a table row | `runner/….py` | what it owns | for each module, and for nothing else."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\|\s*`(runner/[^`]+\.py)`\s*\|(.*)$", page, re.MULTILINE)
    listed = Counter(name for name, _ in rows)
    assert [name for name, count in listed.items() if count > 1] == [], "listed more than once"
    assert sorted(name for name in listed if not (ROOT / name).is_file()) == [], "listed, and not on disk"
    assert sorted(modules_on_disk() - set(listed)) == [], "on disk, and not listed"
    assert [name for name, rest in rows if not rest.strip(" |")] == [], "listed without a word about it"
