"""A job that cron calls every night, through a simulated week: who holds what, by the sandbox's truth; exit codes."""

from __future__ import annotations

from pathlib import Path

from runner.sandbox import held_by_identifier
from tests.acceptance.desk import Desk, Process, Reports, mobile

JOB = """
input = "${COUPON_IN}/birthdays-{date:%Y-%m-%d}*.csv"
campaign = "birthday-{date}"
timezone = "Asia/Kolkata"
due = "22:30"
empty = "ok"
allowed_series = [415446, 535521]
overlap = "refuse"

[guards]
max_coupons = 9
min_new = 1
"""


class Cron:
    """A crontab: the folder that the lists come into, and the job for a date, as cron would start it."""

    def __init__(self, desk: Desk, job: str = JOB) -> None:
        self.desk = desk
        self.folder = desk.folder / "incoming"
        self.folder.mkdir()
        desk.environment |= {"COUPON_IN": str(self.folder), "COUPON_RUNNER_REPORTS": "csv"}
        self.job = desk.config(job, "birthdays.toml")

    def bring(self, day: int, *rows: str, suffix: str = "") -> Path:
        """The list of a day of March 2025 arrives."""
        return self.desk.write(f"incoming/birthdays-2025-03-{day:02d}{suffix}.csv", rows)

    def night(self, day: int, *words: str, expect: int = 0) -> Process:
        """The job of that day."""
        date = f"2025-03-{day:02d}"
        return self.desk.run("run", "--job", self.job, "--date", date, "--yes", *words, expect=expect)

    def reports(self, day: int, *words: str, expect: int = 0) -> Reports:
        """The same; its reports."""
        return self.desk.reports_of(self.night(day, "--json", *words, expect=expect))


def test_a_week_of_nights(desk):
    """Empty nights, a repeated file, a corrected, an overlapping, yesterday's saved anew, one with a strange series."""
    with desk.serving() as server:
        desk.init(server)
        cron = Cron(desk)

        monday = cron.bring(3, f"{mobile(1)},415446,1", f"{mobile(2)},415446,2")
        assert cron.reports(3).summary["campaign"] == "birthday-2025-03-03"
        assert server.issued() == 3

        nothing = cron.night(4)  # no file
        assert f"nothing to issue: no file matches {cron.folder}/birthdays-2025-03-04*.csv" in nothing.last_line

        repeated = cron.bring(5)
        repeated.write_bytes(monday.read_bytes())
        refused = cron.night(5, expect=3)
        assert "byte for byte the file that the job birthdays had before (2025-03-03" in refused.last_line
        assert "nothing was sent" in refused.last_line
        cron.bring(5, f"{mobile(3)},415446,1", "no number,415446,1")
        assert cron.reports(5, "--max-rejected", "1", expect=1).lines() == {"issued": 1, "rejected": 1}
        cron.bring(5, f"{mobile(3)},415446,2", f"{mobile(4)},415446,1")  # corrected, and one count raised
        corrected = cron.reports(5)
        assert [(line["_issued"], line["_issued_before"]) for line in corrected.results] == [("2", "1"), ("1", "0")]
        assert server.issued() == 6

        cron.bring(6, f"{mobile(1)},415446,1", f"{mobile(5)},415446,1")  # Monday's first customer, on another date
        overlapping = cron.night(6)
        assert "1 order is of a customer who holds the series from another date of this job" in overlapping.err
        assert server.issued() == 8

        cron.bring(7, f"{mobile(5)},415446,1", f"{mobile(1)},415446,1")  # yesterday's, sorted and saved again
        assert "Only 0 orders of the input are new" in cron.night(7, expect=3).last_line

        cron.bring(8)  # a header and no rows
        assert "nothing to issue" in cron.night(8).last_line

        cron.bring(9, f"{mobile(6)},415446,1", f"{mobile(7)},600709,1")
        strange = cron.night(9, expect=3)
        assert "names the series 600709" in strange.last_line
        cron.bring(9, f"{mobile(6)},415446,1")
        cron.bring(9, f'{mobile(7)},"415446,535521",1', suffix="-shop")  # two files are one run
        for lock in ("~$birthdays-2025-03-09.csv", ".~lock.birthdays-2025-03-09.csv#", ".birthdays-2025-03-09.csv"):
            (cron.folder / lock).write_text("neither rows nor UTF-8: \0", encoding="utf-8")
        assert cron.reports(9).lines() == {"issued": 3}

        posts = server.posts()
        assert "nothing new was issued" in cron.night(3).last_line  # a past date, repeated
        assert "nothing new was issued" in cron.night(9).last_line
        assert server.posts() == posts

        truth = server.truth()
        assert held_by_identifier(truth) == {
            f"mobile:{mobile(1)}": {415446: 2},
            f"mobile:{mobile(2)}": {415446: 2},
            f"mobile:{mobile(3)}": {415446: 2},
            f"mobile:{mobile(4)}": {415446: 1},
            f"mobile:{mobile(5)}": {415446: 1},
            f"mobile:{mobile(6)}": {415446: 1},
            f"mobile:{mobile(7)}": {415446: 1, 535521: 1},
        }
        assert [run["exit_code"] for run in desk.run("runs", "--json").json] == [0, 0, 0, 0, 0, 1, 0]


def test_a_retry_after_a_stop_finishes_that_night(desk):
    """`resume` goes on without the job; the same date again issues nothing twice, and its file is still a new one."""
    with desk.serving() as server:
        desk.init(server)
        cron = Cron(desk)
        cron.bring(3, f"{mobile(1)},415446,1", f"{mobile(2)},415446,1", f"{mobile(3)},415446,1")
        cron.night(3, "--limit", "1", expect=75)
        desk.run("resume", "--yes", "--limit", "1", expect=75)
        again = cron.night(3)
        assert "first the rest of the unfinished run" in again.err
        assert server.issued() == 3
        assert "nothing new was issued" in cron.night(3).last_line


def test_a_refused_file_leaves_the_unfinished_run_before_it_alone(desk):
    """Whatever is refused, nothing is sent: the campaign's rest waits for a good file or for `resume`."""
    with desk.serving() as server:
        desk.init(server)
        cron = Cron(desk, JOB.replace("birthday-{date}", "birthday-{date:%Y-%m}"))
        cron.bring(3, f"{mobile(1)},415446,1", f"{mobile(2)},415446,1")
        cron.night(3, "--limit", "1", expect=75)
        cron.bring(4, f"{mobile(3)},600709,1")
        assert "names the series 600709" in cron.night(4, expect=3).last_line
        cron.bring(4, f"{mobile(2)},415446,1", f"{mobile(1)},415446,1")
        assert "Only 0 orders" in cron.night(4, expect=3).last_line
        assert server.posts() == 1
        cron.bring(4, f"{mobile(1)},415446,1", f"{mobile(3)},415446,1")
        cron.night(4)
        assert server.truth()["totals"]["coupons"] == 3


def test_other_campaigns_still_overlap_and_corrected_failures_do_not(desk):
    """Only the job's other dates are expected; a failures.csv that is fed back by hand belongs to its job as well."""
    limited = "[[series]]\nid = 415446\nmax_per_customer = 3\n"
    with desk.serving(limited) as server:
        desk.init(server)
        cron = Cron(desk)
        by_hand = ["--yes", "--max-coupons", "9"]
        desk.run("run", desk.write("spring.csv", [f"{mobile(9)},415446,1"]), "--campaign", "spring", *by_hand)
        cron.bring(3, f"{mobile(1)},415446,1")
        cron.night(3)
        cron.bring(4, f"{mobile(1)},415446,1", f"{mobile(9)},415446,1")
        assert "from another campaign" in cron.night(4, expect=3).last_line
        cron.bring(4, f"{mobile(1)},415446,3", f"{mobile(2)},415446,1")
        desk.config(JOB.replace("birthday-{date}", "feast-{date}"), "birthdays.toml")
        assert "from another campaign" in cron.night(4, expect=3).last_line  # another template is another campaign
        desk.config(JOB, "birthdays.toml")
        failures = cron.reports(4, "--ignore-preflight", expect=1).folder / "failures.csv"
        # Asks for the third again, and is told that it is one too many.
        desk.run("run", failures, *by_hand, "--ignore-preflight", expect=1)
        assert held_by_identifier(server.truth())[f"mobile:{mobile(1)}"] == {415446: 3}


def test_the_same_list_is_issued_again_once_a_person_has_said_so(desk):
    """`--overlap allow` as a flag, not in the job; it is recorded, and that date may then be repeated."""
    with desk.serving() as server:
        desk.init(server)
        cron = Cron(desk, JOB.replace('"refuse"', '"allow"').replace("min_new = 1", ""))
        first = cron.bring(3, f"{mobile(1)},415446,1")
        cron.night(3)
        cron.bring(4).write_bytes(first.read_bytes())
        assert "--overlap allow" in cron.night(4, expect=3).last_line
        allowed = cron.reports(4, "--overlap", "allow")
        assert [one["what"] for one in allowed.summary["overrides"]] == ["same_file"]
        assert server.issued() == 2
        assert "nothing new was issued" in cron.night(4).last_line
        assert server.issued() == 2


def test_a_job_runs_unattended_with_yes_and_its_own_cap(desk):
    """Without either it does not start; the cap stops it (exit 4); flag and environment count before the job."""
    with desk.serving() as server:
        desk.init(server)
        cron = Cron(desk, JOB.replace("max_coupons = 9", ""))
        cron.bring(3, f"{mobile(1)},415446,2", f"{mobile(2)},415446,2", f"{mobile(3)},415446,2")
        date = ["--date", "2025-03-03"]
        assert "add --yes" in desk.run("run", "--job", cron.job, *date, expect=2).last_line
        assert "max_coupons under [guards] of a job" in cron.night(3, expect=2).last_line
        assert server.posts() == 0
        capped = desk.config(JOB.replace("max_coupons = 9", "max_coupons = 4"), "birthdays.toml")
        desk.run("run", "--job", capped, *date, "--yes", expect=4, COUPON_RUNNER_MAX_COUPONS="2")
        assert server.issued() == 2
        desk.run("run", "--job", capped, *date, "--yes", "--max-coupons", "9")
        assert server.issued() == 6


def test_what_a_job_suggests_next_meets_the_jobs_own_organisation(desk):
    """Also when another one is the default and this one has a ledger of its own."""
    with desk.serving() as server:
        desk.init(server)
        ledger = desk.folder / "second.db"
        desk.run("init", "--org", "second", "--api-url", server.url, "--ledger", ledger)
        cron = Cron(desk, f'org = "second"\n{JOB}')
        cron.bring(3, f"{mobile(1)},415446,1", f"{mobile(2)},415446,1")
        stopped = cron.night(3, "--limit", "1", expect=75)
        desk.run(*stopped.last_line.partition("Next: coupon-runner ")[2].split(), "--yes")
        assert server.issued() == 2


def test_a_flag_does_not_widen_the_series_that_a_job_allows(desk):
    """`--series` is an input like any other; nothing is sent."""
    cron = Cron(desk, JOB)
    desk.write("incoming/birthdays-2025-03-03.csv", [mobile(1)], header="mobile")
    refused = cron.night(3, "--series", "9", "--sandbox", expect=3)
    assert "names the series 9" in refused.last_line
    assert cron.night(3, "--series", "415446", "--sandbox").last_line.startswith("exit 0: 1 coupon issued")


def test_a_plan_of_a_job_sends_nothing_and_its_command_works_as_it_is_printed(desk):
    """Its code is consent to exactly this, without a cap."""
    with desk.serving() as server:
        desk.init(server)
        cron = Cron(desk)
        cron.bring(3, f"{mobile(1)},415446,2")
        planned = desk.run("plan", "--job", cron.job, "--date", "2025-03-03")
        assert "job birthdays, date 2025-03-03 (Asia/Kolkata), campaign birthday-2025-03-03" in planned.err
        assert server.posts() == 0
        desk.run(*planned.last_line.partition("Next: coupon-runner ")[2].split())
        assert server.issued() == 2
        assert "nothing to issue" in desk.run("plan", "--job", cron.job, "--date", "2025-03-04").last_line
        quiet = desk.run("run", "--job", cron.job, "--date", "2025-03-04", "--yes", "--json")
        assert (quiet.json["run"], quiet.json["exit_code"]) == (None, 0)


def test_an_empty_night_fails_where_the_job_says_so_and_a_folder_that_is_gone_always_does(desk):
    """No file, and a file without rows: exit 3. A folder that is not mounted is no empty night: exit 2."""
    cron = Cron(desk, JOB.replace('empty = "ok"', 'empty = "fail"'))
    assert "no file matches" in cron.night(3, "--sandbox", expect=3).last_line
    cron.bring(3)
    assert "empty = fail" in cron.night(3, "--sandbox", expect=3).last_line
    desk.environment["COUPON_IN"] = str(desk.folder / "unmounted")
    assert "is not there" in cron.night(3, "--sandbox", expect=2).last_line
    del desk.environment["COUPON_IN"]
    assert "COUPON_IN is not set" in cron.night(3, "--sandbox", expect=2).last_line


def test_every_problem_of_a_job_is_told_at_once_with_its_line(desk):
    """Those of its own keys, and those of the settings that it makes; a date that is not due yet is refused."""
    job = desk.config('input = "x.csv"\ncampain = "x"\n[pace]\nrate = "fast"\n\nconcurrency = 0\n', "bad.toml")
    said = desk.run("run", "--job", job, "--yes", "--count", "0", expect=2).err
    assert f"job file {job}: campaign is missing" in said
    assert f"job file {job}, line 2: campain: unknown key (did you mean campaign?)" in said
    assert f"job file {job}, line 4: pace.rate: the rate" in said
    assert f"job file {job}, line 6: pace.concurrency: must be a whole number" in said
    assert "--count: " in said
    assert "exit 2: 5 problems, listed above" in said
    desk.config('input = "x.csv"\ncampaign = "x"\n', "undated.toml")
    desk.config('input = "x.csv"\ncampaign = "x"\ntimezone = "UTC"\n', "dated.toml")
    for words, why in (
        (["--job", "undated.toml", "--date", "2025-03-03"], "has no timezone"),
        (["--job", "dated.toml", "--date", "2999-01-01"], "is not due for that date yet"),
        (["--job", "dated.toml", "--date", "3.3.2025"], "YYYY-MM-DD"),
        (["--job", "dated.toml", "x.csv"], "not both"),
        (["x.csv", "--date", "2025-03-03"], "--date is for a job"),
        ([], "Name a file to issue"),
        (["--job", "none.toml"], "There is no job file none.toml"),
    ):
        assert why in desk.run("run", *words, "--sandbox", "--yes", expect=2).last_line


def test_init_writes_a_commented_job_that_runs_and_never_overwrites_one(desk):
    """`jobs/NAME.toml`; the command that it suggests works."""
    made = desk.run("init", "--job", "birthday", "--org", "acme")
    path = desk.folder / "jobs" / "birthday.toml"
    text = path.read_text(encoding="utf-8")
    assert 'org = "acme"' in text
    (desk.folder / "in").mkdir()
    planned = desk.run(*made.last_line.partition("Next: coupon-runner ")[2].split(), "--sandbox", expect=3)
    assert "no file matches in/birthday-" in planned.last_line
    assert "was not changed" in desk.run("init", "--job", "birthday", expect=2).last_line
    assert path.read_text(encoding="utf-8") == text
    assert "letters, digits" in desk.run("init", "--job", "../birthday", expect=2).last_line
    assert "leave --region out" in desk.run("init", "--job", "other", "--region", "IN", expect=2).last_line
