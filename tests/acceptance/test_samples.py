"""The sample inputs do what they show, started as a newcomer starts them.

`python -m runner`, nothing imported before.
"""

from __future__ import annotations

import re
import tomllib

from runner.core.codes import TWINS
from tests.acceptance.desk import SAMPLES, Desk

WORKBOOKS = True

TABLE = {"701", "707", "709", "713", "756", "677"}
"""The codes of the endpoint's table that have no twin."""


def test_the_demo_ends_with_rows_that_need_a_person_and_says_what_next(tmp_path):
    """Exit 1 within seconds: most is issued, a dry series is waited for, a few rows are to be corrected."""
    desk = Desk(tmp_path / "desk", starter=None)
    config = str(SAMPLES / "demo-sandbox.toml")
    words = ["--sandbox", "--fresh", "--sandbox-config", config, "--campaign", "demo", "--yes"]
    done = desk.run("run", SAMPLES / "demo.csv", *words, expect=1)
    assert "series 535521 waits: 5005" in done.err
    assert "series 535521 gives coupons again" in done.err
    (folder,) = (desk.folder / "coupon-runs").iterdir()
    assert f"coupon-runner run {folder.relative_to(desk.folder)}/failures.csv" in done.last_line.replace(
        f"{desk.folder}/", ""
    )
    names = ["results.csv", "failures.csv", "in_doubt.csv", "coupons.csv", "summary.json", "manifest.json"]
    names += ["report.xlsx", "failures.xlsx"]
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    assert all(name in done.err for name in names)


def test_every_code_is_met_and_every_row_accounted_for(desk):
    """Each code of the table, each partial success with error and with warning twin, 1,200, two series in a cell."""
    config = SAMPLES / "every-code-sandbox.toml"
    words = [SAMPLES / "every-code.csv", "--sandbox-config", config, "--campaign", "codes", "--ignore-preflight"]
    reports = desk.rehearse(*words, expect=1)
    met = {code for post in desk.rehearsed_truth()["posts"] for code in post["codes"]}
    assert met == TABLE | {"521"} | {str(code) for pair in TWINS.items() for code in pair}
    for line in reports.results:
        code = line["what_this_row_meets"].partition(":")[0]
        temporary = code in ("5005", "702", "521")
        if code in TABLE:
            assert (line["_status"], line["_error_code"]) == ("failed", code)
        elif code.isdigit() and not temporary:
            assert line["_status"] == "partial"
            assert line["_error_code"] == str(TWINS.get(code, code))
        else:
            assert (line["_status"], line["_error_code"], line["_missing"]) == ("issued", "", "0")
    big = next(line for line in reports.results if line["_target"] == "1200")
    assert (big["_issued"], big["_attempts"]) == ("1200", "3")
    assert [line["_series"] for line in reports.results if "," in line["series_id"]] == ["415446", "535521"]
    again = desk.rehearse(*words, expect=1)
    assert desk.rehearsed_truth()["totals"]["coupons"] == reports.summary["coupons"]["issued"] == 1223
    assert [line["_issued"] for line in again.results] == [line["_issued"] for line in reports.results]


def test_the_samples_hold_obviously_artificial_customers_only():
    """Mobiles of the range 919000000000 to 919000001999 and no address at all."""
    for path in SAMPLES.glob("*.csv"):
        text = path.read_text(encoding="utf-8")
        assert "@" not in text
        assert all(re.match(r"91900000[01]\d{3}$", number) for number in re.findall(r"\d{10,}", text))
    for path in SAMPLES.glob("*.toml"):
        tomllib.loads(path.read_text(encoding="utf-8"))
