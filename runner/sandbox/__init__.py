"""Capillary's coupon API on this machine: faithful, with its own code and its own truth.

Imports nothing from the rest of the program, so that a mistake shared by both cannot hide.
"""

from runner.sandbox.config import SandboxConfig, SandboxConfigError
from runner.sandbox.configfile import load_config, parse_config
from runner.sandbox.evidence import held_by_identifier, keys_seen_again, read_truth
from runner.sandbox.faults import fault_names
from runner.sandbox.openapi import describe
from runner.sandbox.server import Sandbox, serve
from runner.sandbox.truth import TruthError

__all__ = [
    "Sandbox",
    "SandboxConfig",
    "SandboxConfigError",
    "TruthError",
    "describe",
    "fault_names",
    "held_by_identifier",
    "keys_seen_again",
    "load_config",
    "parse_config",
    "read_truth",
    "serve",
]
