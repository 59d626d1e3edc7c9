"""The configuration file: every problem at once, each a sentence with file, key and remedy."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from runner.sandbox import Sandbox, SandboxConfig, SandboxConfigError, load_config
from runner.sandbox.faults import KINDS

ROOT = Path(__file__).parents[2]


def load(tmp_path, text):
    path = tmp_path / "sandbox.toml"
    path.write_text(text)
    return load_config(path)


def test_no_file_means_the_defaults():
    assert load_config(None) == SandboxConfig()


def test_all_problems_are_told_together_with_file_key_and_remedy(tmp_path):
    with pytest.raises(SandboxConfigError) as caught:
        load(
            tmp_path,
            """
            unknown_serie = "refuse"
            latency_seconds = "slow"
            [[series]]
            kind = "generatd"
            max_per_customer = "3"
            answers = ["comit_then_cut"]
            [[customers]]
            mobile = 919000000001
            [auth]
            user = "till"
            [limits]
            window_seconds = 0
            [chaos]
            lost = 0.9
            short = 0.3
            nonsense = 0.1
            """,
        )
    text = str(caught.value)
    assert all(line.startswith(str(tmp_path / "sandbox.toml")) for line in text.splitlines())
    for part in (
        "unknown_serie: unknown key; did you mean 'unknown_series'?",
        "latency_seconds: must be seconds",
        "[[series]] number 1.id: is missing",
        "kind: must be one of generated, uploaded, generic",
        "max_per_customer: must be a whole number",
        "Did you mean 'commit_then_cut'?",
        "mobile: must be text in quotes",
        "[auth].user: user and password go together",
        "[limits].window_seconds: must be more than 0",
        "[chaos].rates: add up to more than 1",
        "[chaos].nonsense",
    ):
        assert part in text
    assert len(caught.value.problems) == len(text.splitlines())


def test_a_file_that_cannot_be_read_or_is_no_toml_is_a_sentence(tmp_path):
    with pytest.raises(SandboxConfigError, match="cannot be read"):
        load_config(tmp_path / "none.toml")
    with pytest.raises(SandboxConfigError, match="not valid TOML"):
        load(tmp_path, "a = = 1")


def test_a_customer_or_series_named_twice_is_refused(tmp_path):
    with pytest.raises(SandboxConfigError, match="belongs to"):
        load(tmp_path, '[[customers]]\nmobile = "919000000001"\n[[customers]]\nmobile = "919000000001"\n')
    with pytest.raises(SandboxConfigError, match="series 4 is there twice"):
        load(tmp_path, "[[series]]\nid = 4\n[[series]]\nid = 4\n")


def test_every_key_is_read(tmp_path):
    config = load(
        tmp_path,
        """
        unknown_series = "refuse"
        latency_seconds = [0.1, 0.2]
        answers = ["429", 5005, "lost"]
        [[series]]
        id = 5
        kind = "uploaded"
        stock = 7
        valid_till = 2030-12-31
        answers = ["partial:2"]
        [auth]
        key = "k"
        secret = "s"
        [chaos]
        seed = 4
        short = 0.25
        """,
    )
    assert config.series[5].valid_till == datetime(2030, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert config.series[5].stock == 7
    assert config.auth.required
    assert config.latency_seconds == (0.1, 0.2)
    assert len(config.answers) == 3
    assert config.chaos is not None
    assert config.chaos.rates == (("short", 0.25),)
    assert config.chaos.seed == 4


def test_a_port_that_is_taken_is_told_to_the_caller(tmp_path, start):
    taken = int(start().url.rsplit(":", 1)[1])
    sandbox = Sandbox(truth_path=tmp_path / "other.db", config=SandboxConfig(), port=taken)
    with pytest.raises(OSError, match="in use"):
        sandbox.start_in_thread()
    sandbox.stop()


def test_a_sandbox_is_a_context_manager_that_can_start_again(tmp_path):
    sandbox = Sandbox(truth_path=tmp_path / "truth.db", config=SandboxConfig())
    for _ in range(2):
        with sandbox:
            assert sandbox.base_url.startswith("http://127.0.0.1:")
    sandbox.stop()


def test_the_sandbox_imports_nothing_else_of_the_program():
    """A mistake that both share could hide."""
    code = (
        "import sys, runner.sandbox.server, runner.sandbox.__main__\n"
        "print([n for n in sys.modules if n.startswith('runner.') and not n.startswith('runner.sandbox')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"


def test_the_documentation_names_every_fault_and_every_key():
    """docs/sandbox.md and the code do not drift apart."""
    text = (ROOT / "docs" / "sandbox.md").read_text()
    for name in KINDS:
        assert f"`{name}" in text or name in ("code", "http"), name
    for key in (
        "unknown_series", "unknown_customers", "partial_in", "strict_headers", "latency_seconds", "repeat_last",
        "series_defaults", "exhausted_code", "dry_for_seconds", "resend_existing", "ttl_seconds", "ended",
        "window_seconds", "retry_after", "lag_seconds", "ignore_issued_to_ids", "drop_metadata", "page_limit",
        "hang_seconds", "late_seconds", "drip_seconds", "retry_after_seconds", "org_id", "min_days", "external_id",
    ):  # fmt: skip
        assert f"`{key}`" in text, key
