"""A job that cron calls every night, for a simulated week: who holds what, by the sandbox's truth, and the exit codes."""

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
        desk.environment["COUPON_IN"] = str(self.folder)
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
    """An empty night, a repeated file, a corrected one, an overlapping one, yesterday's saved anew, a strange series."""
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
        assert cron.reports(5, expect=1).lines() == {"issued": 1, "rejected": 1}
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
