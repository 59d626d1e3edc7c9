"""Flags, environment and settings file become one value; what is wrong with any of them is said all at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runner.app.place import code_table, read_credentials
from runner.core.model import CodeClass, Kind
from runner.core.pacing import Rate
from runner.core.planned import Duplicates, Overlap
from runner.errors import SettingsError
from runner.settings import JobLayer, Options, config_folder, resolve, secret, settings_path, state_folder


def _resolve(
    tmp_path: Path, flags: dict[str, Any] | None = None, environment: dict[str, str] | None = None, file: str = ""
) -> Options:
    path = tmp_path / "settings.toml"
    path.write_text(file, encoding="utf-8")
    return resolve(flags or {}, environment or {}, path)


def _problems(tmp_path: Path, *given: Any) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        _resolve(tmp_path, *given)
    return caught.value.message.splitlines()


FILE = """
count = 2
[orgs.Acme]
count = 3
"""


@pytest.mark.parametrize(
    ("flags", "environment", "file", "count"),
    [
        ({}, {}, "", 1),
        ({}, {}, FILE, 2),
        ({"org": "acme"}, {}, FILE, 3),
        ({"org": "acme"}, {"COUPON_RUNNER_COUNT": "4"}, FILE, 4),
        ({"org": "acme", "count": 5}, {"COUPON_RUNNER_COUNT": "4"}, FILE, 5),
        ({"count": None}, {"COUPON_RUNNER_COUNT": "4"}, "", 4),
        ({}, {"COUPON_RUNNER_COUNT": ""}, FILE, 2),
    ],
    ids=["default", "file", "org in the file", "environment", "flag", "flag not given", "empty variable"],
)
def test_a_flag_beats_the_environment_beats_the_orgs_settings_beats_the_file(
    tmp_path: Path, flags: dict[str, Any], environment: dict[str, str], file: str, count: int
):
    """The nearest word wins; a flag that was not given and an empty variable say nothing."""
    assert _resolve(tmp_path, flags, environment, file).count == count


def test_a_variable_that_is_wrong_is_told_even_when_a_flag_outweighs_it(tmp_path: Path):
    """It would count as soon as the flag is left out."""
    with pytest.raises(SettingsError, match="environment: max_coupons: write a whole number"):
        _resolve(tmp_path, {"max_coupons": 5}, {"COUPON_RUNNER_MAX_COUPONS": "x"}, "")
    assert _resolve(tmp_path, {"max_coupons": 5}, {"COUPON_RUNNER_MAX_COUPONS": "7"}, "").max_coupons == 5


@pytest.mark.parametrize("by", ["flag", "environment", "file", "default_org"])
def test_the_orgs_own_settings_follow_the_org_however_it_was_named(tmp_path: Path, by: str):
    """`--org`, COUPON_RUNNER_ORG, `org =` or `default_org =`."""
    flags = {"org": "Acme"} if by == "flag" else {}
    environment = {"COUPON_RUNNER_ORG": "acme"} if by == "environment" else {}
    head = {"file": 'org = "ACME"\n', "default_org": 'default_org = "acme"\n'}.get(by, "")
    options = _resolve(tmp_path, flags, environment, f'{head}[orgs.Acme]\napi_url = "https://eu.example.com"\n')
    assert options.api_url == "https://eu.example.com"
    assert (options.org or "").casefold() == "acme"


def test_a_rehearsal_takes_nothing_from_an_orgs_settings(tmp_path: Path):
    """The embedded sandbox is an org of its own."""
    file = 'default_org = "acme"\n[orgs.acme]\nledger = "/real/ledger.db"\n'
    assert _resolve(tmp_path, {"sandbox": True}, {}, file).ledger is None
    assert _resolve(tmp_path, {}, {"COUPON_RUNNER_SANDBOX": "1"}, file).ledger is None
    assert _resolve(tmp_path, {}, {}, file).ledger == "/real/ledger.db"


def test_an_unknown_key_is_an_error_with_a_suggestion(tmp_path: Path):
    """In the file, in an org's part of it, and in the environment."""
    file = 'campain = "May"\n[orgs.acme]\nregoin = "IN"\n'
    found = "\n".join(_problems(tmp_path, {"org": "acme"}, {"COUPON_RUNNER_RAET": "1/s"}, file))
    assert "unknown key campain (did you mean campaign?)" in found
    assert "[orgs.acme]: unknown key regoin (did you mean region?)" in found
    assert "unknown variable COUPON_RUNNER_RAET (did you mean COUPON_RUNNER_RATE?)" in found


def test_all_problems_of_all_layers_are_reported_together(tmp_path: Path):
    """One start, one list: nobody mends a file five times."""
    flags = {"count": 0, "rate": "fast", "timeout": "soon"}
    environment = {"COUPON_RUNNER_CONCURRENCY": "many", "COUPON_RUNNER_NONSENSE": "1"}
    found = _problems(tmp_path, flags, environment, 'overlap = "maybe"\nyes = true\n')
    for part in (
        "--count",
        "--rate",
        "--timeout",
        "environment: concurrency",
        "COUPON_RUNNER_NONSENSE",
        "overlap",
        "yes",
    ):
        assert any(part in line for line in found), part
    assert len(found) == 7


@pytest.mark.parametrize("name", ["yes", "plan", "fresh", "same_org", "json"])
def test_what_must_be_chosen_for_each_run_cannot_be_a_lasting_setting(tmp_path: Path, name: str):
    """Consent written into a file is no consent."""
    value = '"code"' if name == "plan" else "true"
    for file in (f"{name} = {value}\n", f"[orgs.acme]\n{name} = {value}\n"):
        found = _problems(tmp_path, {"org": "acme"}, {}, file)
        assert any(f"{name} is for a single run only" in line for line in found)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("25s", 25), ("10m", 600), ("1.5h", 5400), ("2d", 172800), ("90", 90), (90, 90), ("3 min", 180)],
)
def test_a_duration_is_a_number_with_a_unit_or_seconds(tmp_path: Path, written: object, seconds: float):
    """25s, 10m, 3h."""
    assert _resolve(tmp_path, {"grace": written}).grace == seconds


@pytest.mark.parametrize("written", ["soon", "10 weeks", "-5s", "", "1h30m", -1])
def test_what_is_no_duration_is_refused(tmp_path: Path, written: object):
    """Nothing is guessed."""
    assert _problems(tmp_path, {"grace": written})[0].startswith("--grace")


def test_the_default_rate_is_for_real_hosts_only(tmp_path: Path):
    """Loopback has none; what is given counts everywhere."""
    options = _resolve(tmp_path)
    assert options.parsed_rate(loopback=False) == Rate(100, 60.0)
    assert options.parsed_rate(loopback=True) is None
    given = _resolve(tmp_path, {"rate": "20/s"})
    assert given.parsed_rate(loopback=True) == given.parsed_rate(loopback=False) == Rate(20, 1.0)
    assert _resolve(tmp_path, {"rate": "none"}).parsed_rate(loopback=False) is None
    left = _resolve(tmp_path, {"leave": "20%"})
    assert (left.parsed_rate(loopback=False), left.key_limit(loopback=False)) == (Rate(80, 60.0), Rate(100, 60.0))
    assert left.parsed_rate(loopback=True) is None


@pytest.mark.parametrize("layer", ["flag", "environment", "file"])
def test_lists_and_pairs_may_be_given_in_every_layer(tmp_path: Path, layer: str):
    """As a spreadsheet person writes them: parts between commas."""
    texts = {"series": "415446, 535521", "identify_by": "email,mobile"}
    if layer == "file":
        options = _resolve(
            tmp_path, {}, {}, 'series = [415446, 535521]\nidentify_by = ["email", "mobile"]\nmap = {mobile = "Ph No"}'
        )
    elif layer == "flag":
        options = _resolve(tmp_path, {**texts, "map": ["mobile=Ph No"]})
    else:
        pairs = {f"COUPON_RUNNER_{name.upper()}": text for name, text in texts.items()}
        options = _resolve(tmp_path, {}, {**pairs, "COUPON_RUNNER_MAP": "mobile=Ph No"})
    assert options.series == (415446, 535521)
    assert options.kinds == (Kind.EMAIL, Kind.MOBILE)
    assert options.map == {"mobile": "Ph No"}


def test_a_heading_with_a_comma_can_be_mapped_by_a_flag(tmp_path: Path):
    """Each `--map` is one pair, whatever stands in it."""
    assert _resolve(tmp_path, {"map": ["mobile=Phone, mobile", "count=a=b"]}).map == {
        "mobile": "Phone, mobile",
        "count": "a=b",
    }


def test_rules_become_the_planners_words(tmp_path: Path):
    """A word that the planner does not know is refused here."""
    options = _resolve(tmp_path, {"duplicates": "add", "overlap": "skip"})
    assert (options.duplicates_rule, options.overlap_rule) == (Duplicates.ADD, Overlap.SKIP)
    assert len(_problems(tmp_path, {"duplicates": "sum", "overlap": "perhaps", "identify_by": "id"})) == 3


def test_a_path_in_the_settings_file_is_taken_as_it_is(tmp_path: Path):
    """Not relative to the file, and nothing is expanded."""
    assert _resolve(tmp_path, {}, {}, 'out = "reports/x"\n').out == Path("reports/x")


@pytest.mark.parametrize("content", ["count = ", "= 3", "[orgs"])
def test_a_settings_file_that_is_no_toml_is_named(tmp_path: Path, content: str):
    """With the place where it breaks off."""
    assert "settings.toml is not valid TOML" in _problems(tmp_path, {}, {}, content)[0]


def test_a_settings_file_whose_orgs_are_no_tables_is_a_sentence(tmp_path: Path):
    """A slip of the editor ends in no traceback."""
    for file in ("orgs = 3\n", "[orgs]\nacme = 3\n", 'orgs = ["acme"]\n'):
        assert any("orgs" in line for line in _problems(tmp_path, {"org": "acme"}, {}, file))


def test_a_settings_file_need_not_be_there(tmp_path: Path):
    """Everything has a default or is asked for."""
    assert resolve({}, {}, tmp_path / "none.toml") == Options()


def test_folders_follow_xdg_on_every_system(tmp_path: Path):
    """The ledger is in the state folder, keys and settings in the config folder."""
    environment = {"XDG_CONFIG_HOME": str(tmp_path / "c"), "XDG_STATE_HOME": str(tmp_path / "s")}
    assert config_folder(environment) == tmp_path / "c" / "coupon-runner"
    assert state_folder(environment) == tmp_path / "s" / "coupon-runner"
    assert settings_path(None, environment) == tmp_path / "c" / "coupon-runner" / "settings.toml"
    assert settings_path(None, {**environment, "COUPON_RUNNER_SETTINGS": "a.toml"}) == Path("a.toml")
    assert settings_path(Path("b.toml"), {"COUPON_RUNNER_SETTINGS": "a.toml"}) == Path("b.toml")


# ── secrets ──────────────────────────────────────────────────────────────────────────────────────────────────────────

HIDDEN = "hunter2-hunter2"


def test_a_secret_comes_from_its_variable_or_from_the_file_that_its_twin_names(tmp_path: Path):
    """A line end at the end of the file is not part of it."""
    (tmp_path / "key").write_text(f"{HIDDEN}\n", encoding="utf-8")
    assert secret("API_KEY", {"COUPON_RUNNER_API_KEY": HIDDEN}) == HIDDEN
    assert secret("API_KEY", {"COUPON_RUNNER_API_KEY_FILE": str(tmp_path / "key")}) == HIDDEN
    assert secret("API_KEY", {}) is None


def test_a_secret_given_twice_is_an_error_that_does_not_show_it(tmp_path: Path):
    """Which one counts would be a guess."""
    (tmp_path / "key").write_text(HIDDEN, encoding="utf-8")
    both = {"COUPON_RUNNER_API_KEY": HIDDEN, "COUPON_RUNNER_API_KEY_FILE": str(tmp_path / "key")}
    with pytest.raises(SettingsError, match="both COUPON_RUNNER_API_KEY and COUPON_RUNNER_API_KEY_FILE") as caught:
        secret("API_KEY", both)
    assert HIDDEN not in str(caught.value)


def test_a_secrets_file_that_cannot_be_read_is_an_error(tmp_path: Path):
    """Missing, or no text."""
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for name in ("none", "binary"):
        with pytest.raises(SettingsError, match=r"COUPON_RUNNER_API_KEY_FILE names .* cannot be read"):
            secret("API_KEY", {"COUPON_RUNNER_API_KEY_FILE": str(tmp_path / name)})


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, "set COUPON_RUNNER_API_KEY and "),
        ({"API_KEY": HIDDEN}, "set COUPON_RUNNER_API_SECRET"),
        ({"API_SECRET": HIDDEN}, "set COUPON_RUNNER_API_KEY"),
        ({"API_USER": HIDDEN}, "set COUPON_RUNNER_API_PASSWORD"),
        ({"API_PASSWORD": HIDDEN}, "set COUPON_RUNNER_API_USER"),
        ({"API_KEY": HIDDEN, "API_PASSWORD": HIDDEN}, "keep one pair"),
    ],
)
def test_half_a_pair_of_credentials_names_the_other_half_and_no_secret(given: dict[str, str], wanted: str):
    """Key and secret, or user and password: one pair and whole."""
    with pytest.raises(SettingsError) as caught:
        read_credentials({f"COUPON_RUNNER_{name}": value for name, value in given.items()})
    assert wanted in caught.value.message
    assert HIDDEN not in caught.value.message


@pytest.mark.parametrize("name", ["api_key", "api_secret", "api_user", "api_password"])
def test_a_secret_is_no_setting_and_no_flag_and_is_not_shown(tmp_path: Path, name: str):
    """In the settings file it is an unknown key; its value is in no message."""
    found = "\n".join(_problems(tmp_path, {}, {}, f'{name} = "{HIDDEN}"\n'))
    assert f"unknown key {name}" in found
    assert HIDDEN not in found


def test_the_variables_of_secrets_and_of_the_program_itself_are_no_unknown_ones(tmp_path: Path):
    """They are read elsewhere."""
    names = ("API_KEY", "API_SECRET_FILE", "API_USER", "API_PASSWORD", "SETTINGS", "VERBOSE", "QUIET")
    assert _resolve(tmp_path, {}, {f"COUPON_RUNNER_{name}": HIDDEN for name in names}) == Options()


def test_a_mistyped_secret_variable_does_not_show_its_value(tmp_path: Path):
    """The name is enough to mend it."""
    found = "\n".join(_problems(tmp_path, {}, {"COUPON_RUNNER_API_KEYS": HIDDEN}))
    assert "did you mean COUPON_RUNNER_API_KEY" in found
    assert HIDDEN not in found


# ── codes ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_overrides_of_codes_reach_the_table(tmp_path: Path):
    """A code that this cluster uses differently is configuration."""
    options = _resolve(tmp_path, {}, {}, '[codes.8888]\nclass = "final"\nscope = "series"\nmeaning = "no more"\n')
    rule = code_table(options).look_up("8888")
    assert rule is not None
    assert (rule.klass, rule.meaning) == (CodeClass.FINAL, "no more")
    assert code_table(_resolve(tmp_path)).look_up("8888") is None


def test_a_wrong_override_of_a_code_is_a_sentence(tmp_path: Path):
    """With the code and the key that is wrong."""
    options = _resolve(tmp_path, {}, {}, '[codes.8888]\nclass = "perhaps"\n')
    with pytest.raises(SettingsError, match="8888"):
        code_table(options)


# ── a job between environment and settings file ──────────────────────────────────────────────────────────────────────


def _with_job(tmp_path: Path, job: dict[str, Any], *, file: str = "", problems: tuple[str, ...] = (), **given: Any):
    path = tmp_path / "settings.toml"
    path.write_text(file, encoding="utf-8")
    layer = JobLayer(values=job, told=lambda name: f"job file a.toml, line 7: {name}", problems=problems)
    return resolve(given.get("flags", {}), given.get("environment", {}), path, layer)


def test_a_job_counts_after_flag_and_environment_and_before_the_settings_file(tmp_path: Path):
    """Also before the settings of the org, which it may name."""
    file = 'count = 2\nregion = "DE"\n[orgs.acme]\ncount = 3\nrate = "7/m"\n'
    job = {"count": 4, "org": "Acme"}
    assert _with_job(tmp_path, {}, file=file).count == 2
    assert _with_job(tmp_path, {"org": "acme"}, file=file).count == 3
    found = _with_job(tmp_path, job, file=file)
    assert (found.count, found.org, found.rate, found.region) == (4, "Acme", "7/m", "DE")
    environment = {"COUPON_RUNNER_COUNT": "5"}
    assert _with_job(tmp_path, job, file=file, environment=environment).count == 5
    assert _with_job(tmp_path, job, file=file, environment=environment, flags={"count": 6}).count == 6
    assert _with_job(tmp_path, job, environment={"COUPON_RUNNER_ORG": "other"}).org == "other"


def test_problems_of_a_job_are_told_with_those_of_all_other_layers(tmp_path: Path):
    """Its own as they are; a value that the settings refuse with its place in the file."""
    with pytest.raises(SettingsError) as caught:
        _with_job(
            tmp_path,
            {"concurrency": 0, "rate": "fast"},
            problems=("job file a.toml, line 1: x: unknown key",),
            file="rte = 1\n",
            flags={"count": 0},
        )
    told = caught.value.message
    assert len(told.splitlines()) == 5
    assert "job file a.toml, line 1: x: unknown key" in told
    assert "job file a.toml, line 7: concurrency: " in told
    assert "job file a.toml, line 7: rate: the rate" in told
    assert "unknown key rte" in told
    assert "--count: " in told


# ── what was probably meant ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("variable", "meant"), [("RAET", "RATE"), ("MAX_COUPON", "MAX_COUPONS"), ("REHEARS", "REHEARSE")]
)
def test_a_variable_that_is_nearly_one_names_it(tmp_path: Path, variable: str, meant: str):
    """The part that all variables share does not count as alike."""
    (found,) = _problems(tmp_path, {}, {f"COUPON_RUNNER_{variable}": "1"})
    assert found.endswith(f"(did you mean COUPON_RUNNER_{meant}?)")


@pytest.mark.parametrize("name", ["nonsense", "colour", "row", "cap"])
def test_what_is_not_close_to_anything_gets_no_suggestion(tmp_path: Path, name: str):
    """A far guess misleads more than none."""
    for found in (
        _problems(tmp_path, {}, {f"COUPON_RUNNER_{name.upper()}": "1"}),
        _problems(tmp_path, {}, {}, f"{name} = 1\n"),
    ):
        assert len(found) == 1
        assert "did you mean" not in found[0]


def test_rehearse_is_another_name_of_sandbox_in_the_environment_too(tmp_path: Path):
    """Both may be set, but not to different things."""
    assert _resolve(tmp_path, {}, {"COUPON_RUNNER_REHEARSE": "1"}).sandbox
    assert _resolve(tmp_path, {}, {"COUPON_RUNNER_REHEARSE": "1", "COUPON_RUNNER_SANDBOX": "1"}).sandbox
    (found,) = _problems(tmp_path, {}, {"COUPON_RUNNER_REHEARSE": "1", "COUPON_RUNNER_SANDBOX": "0"})
    assert found.startswith("environment: COUPON_RUNNER_REHEARSE and COUPON_RUNNER_SANDBOX say different things")


@pytest.mark.parametrize("word", ["1", "on", "TRUE", "yes", "t", "y"])
def test_a_rehearsal_takes_nothing_of_a_real_orgs_settings_however_it_is_said(tmp_path: Path, word: str):
    """Every word for yes that a flag's variable may be."""
    file = 'default_org = "acme"\n[orgs.acme]\nledger = "real.db"\n'
    options = _resolve(tmp_path, {}, {"COUPON_RUNNER_SANDBOX": word}, file)
    assert (options.sandbox, options.ledger) == (True, None)
