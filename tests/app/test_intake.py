"""Files to staged rows: which campaign they belong to, what each column is, how customers are named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runner.adapters.ledger.files import LedgerFile
from runner.adapters.ledger.scopes import create_org, find_scope
from runner.adapters.ledger.staged import Campaign, NewRun
from runner.adapters.ledger.staging import Staging
from runner.app.input_files import Asker
from runner.app.intake import Intake, take_in
from runner.core.keys import scope_key
from runner.core.model import Kind, Ref
from runner.core.planning import Duplicates, Overlap
from runner.core.refs import write_ref
from runner.errors import InputRefused, LedgerVersion, UsageError
from runner.settings import Options


class Desk:
    """A folder of files and a ledger; `take` reads files as a command would."""

    def __init__(self, folder: Path, *, rehearsal: bool = False) -> None:
        self.folder = folder
        self.ledger = LedgerFile.create(folder / "l.db", key_folder=folder / "keys", rehearsal=rehearsal)
        self.org = create_org(self.ledger, "sandbox" if rehearsal else "Acme", at=0.0)
        self.asked: list[tuple[str, str]] = []
        self.answer: str | None = None

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def _choose(self, question: str, suggestion: str) -> str:
        self.asked.append((question, suggestion))
        return self.answer if self.answer is not None else suggestion

    def take(self, *paths: Path, present: bool = False, load: bool = False, run: str = "run", **options: Any) -> Intake:
        options = {"campaign": "May"} | options
        given = Options(**{name: value for name, value in options.items() if value is not None})
        asker = Asker(choose=self._choose if present else None)
        with Staging(self.ledger) as staging:
            intake = take_in(paths, staging, ledger=self.ledger, org=self.org, options=given, asker=asker)
            self.rows = staging.rows
            if load:
                self._load(staging, intake, run)
        return intake

    def _load(self, staging: Staging, intake: Intake, run_name: str) -> None:
        """As a run would: freeze the campaign, plan, load."""
        from runner.adapters.ledger.scopes import Frozen, freeze_scope

        frozen = Frozen(
            url="u",
            credentials="c",
            identity_version=1,
            identify_by=intake.identify_by,
            region=intake.region,
            mapping=intake.mapping,
        )
        scope = freeze_scope(self.ledger, self.org, intake.campaign, frozen, at=0.0)
        where = Campaign(
            org_key=self.org.key, campaign_key=scope_key(intake.campaign), org_id=self.org.id, scope_id=scope.id
        )
        plan = staging.plan(where, identify_by=intake.identify_by, duplicates=Duplicates.AGREE, overlap=Overlap.ALLOW)
        run = NewRun(
            name=f"{run_name}-{intake.campaign}",
            started=1.0,
            args={},
            files=intake.files,
            owner={},
            out="",
            overrides=[],
        )
        staging.load(run, where, plan)
        self.orders = [key for (key,) in staging._connection.exec_driver_sql("SELECT key FROM orders ORDER BY id")]

    def ref(self, number: int = 0, *, base: int = 0) -> str:
        ref = Ref(self.ledger.ledger_id, self.orders[number], base, False, self.ledger.rehearsal)
        return write_ref(ref, self.ledger.key)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


PLAIN = "mobile,series_id\n919000000001,415446\n919000000002,415446\n"
BOTH = "mobile,email,series_id\n919000000001,customer1@example.com,415446\n"

# ── campaign ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_campaign_is_the_one_that_is_named(desk: Desk):
    """Whatever the file is called."""
    intake = desk.take(desk.write("list.csv", PLAIN), campaign=" Birthday 2026 ")
    assert scope_key(intake.campaign) == "birthday 2026"
    assert intake.scope is None


def test_without_a_campaign_a_person_is_asked_and_the_files_name_is_suggested(desk: Desk):
    """Each customer counts once within it."""
    intake = desk.take(desk.write("birthday.csv", PLAIN), campaign=None, present=True)
    assert desk.asked == [("Each customer counts once within", "birthday")]
    assert intake.campaign == "birthday"


@pytest.mark.parametrize("campaign", [None, "", "  "])
def test_without_a_campaign_and_a_person_the_command_ends_with_exit_2(desk: Desk, campaign: str | None):
    """Nobody there: a guess would decide who gets two."""
    with pytest.raises(UsageError, match="--campaign birthday") as caught:
        desk.take(desk.write("birthday.csv", PLAIN), campaign=campaign)
    assert caught.value.exit_code == 2


def test_a_rehearsal_takes_the_files_name_for_its_campaign(tmp_path: Path):
    """It issues nothing real, so nobody need be asked."""
    desk = Desk(tmp_path, rehearsal=True)
    assert desk.take(desk.write("birthday.csv", PLAIN), campaign=None, present=True).campaign == "birthday"
    assert desk.asked == []


def test_lines_that_we_wrote_stay_in_their_campaign_whatever_the_file_is_called(desk: Desk):
    """No flag is needed, and nobody is asked."""
    desk.take(desk.write("list.csv", PLAIN), load=True)
    ours = desk.write("other-name.csv", f"mobile,series_id,count,_ref\n919000000001,415446,1,{desk.ref()}\n")
    intake = desk.take(ours, campaign=None, present=True)
    assert (intake.campaign, intake.of_ours, desk.asked) == ("May", True, [])
    assert desk.take(ours, campaign=" MAY ").campaign == "May"


def test_another_campaign_with_lines_that_we_wrote_is_refused(desk: Desk):
    """The rows would be issued a second time under another name."""
    desk.take(desk.write("list.csv", PLAIN), load=True)
    ours = desk.write("failures.csv", f"mobile,series_id,count,_ref\n919000000001,415446,1,{desk.ref()}\n")
    with pytest.raises(UsageError, match="belong to the campaign 'May', not 'June'"):
        desk.take(ours, campaign="June")


def test_lines_of_two_campaigns_cannot_be_run_together(desk: Desk):
    """Each belongs to its own."""
    desk.take(desk.write("list.csv", PLAIN), load=True)
    desk.take(desk.write("june.csv", PLAIN), campaign="June", load=True)
    rows = "".join(f"919000000001,415446,1,{desk.ref(number)}\n" for number in (0, 2))
    with pytest.raises(InputRefused, match=r"June, May"):
        desk.take(desk.write("failures.csv", f"mobile,series_id,count,_ref\n{rows}"), campaign=None)


# ── who is named how ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_only_kind_of_identifier_there_is_names_the_customers(desk: Desk):
    """Nothing to ask."""
    assert desk.take(desk.write("list.csv", PLAIN), present=True).identify_by == (Kind.MOBILE,)
    assert desk.asked == []


def test_which_of_several_identifiers_is_sent_is_told(desk: Desk):
    """An ordered list."""
    found = desk.take(desk.write("list.csv", BOTH), identify_by="email,mobile").identify_by
    assert found == (Kind.EMAIL, Kind.MOBILE)


def test_which_of_several_identifiers_is_sent_is_asked(desk: Desk):
    """The first column is suggested, and the answer must be one of them."""
    path = desk.write("list.csv", BOTH)
    desk.answer = "email"
    assert desk.take(path, present=True).identify_by == (Kind.EMAIL,)
    assert desk.asked[0][1] == "mobile"
    desk.answer = "externalId"
    with pytest.raises(UsageError, match="none of mobile, email"):
        desk.take(path, present=True)


def test_several_identifiers_and_nobody_to_ask_is_refused(desk: Desk):
    """With the flag to give."""
    with pytest.raises(UsageError, match="--identify-by mobile"):
        desk.take(desk.write("list.csv", BOTH))


def test_what_names_the_customers_is_frozen_with_the_campaigns_first_run(desk: Desk):
    """Even with one column: a later file with more columns is read as the first one was."""
    desk.take(desk.write("list.csv", PLAIN), load=True)
    both = desk.write("both.csv", BOTH)
    assert desk.take(both).identify_by == (Kind.MOBILE,)
    assert desk.take(both, identify_by="mobile").identify_by == (Kind.MOBILE,)
    with pytest.raises(UsageError, match="fixed with its first run"):
        desk.take(both, identify_by="email")
    assert desk.take(both, campaign="June", identify_by="email").identify_by == (Kind.EMAIL,)


def test_a_file_without_the_frozen_identifier_is_refused(desk: Desk):
    """E-mails alone would be other orders."""
    desk.take(desk.write("list.csv", PLAIN), load=True)
    mails = desk.write("mails.csv", "email,series_id\ncustomer1@example.com,415446\n")
    with pytest.raises(InputRefused, match="identified by mobile"):
        desk.take(mails)


def test_the_region_is_frozen_with_the_campaigns_first_run(desk: Desk):
    """Another would change who is who."""
    path = desk.write("list.csv", PLAIN)
    assert desk.take(path, region="in", load=True).region == "IN"
    assert desk.take(path).region == "IN"
    assert desk.take(path, region="IN").region == "IN"
    with pytest.raises(UsageError, match="with the region IN"):
        desk.take(path, region="DE")
    with pytest.raises(UsageError, match="--region"):
        desk.take(path, campaign="June", region="XX")


def test_no_region_is_frozen_too(desk: Desk):
    """A region given later would place numbers that were not placed before."""
    path = desk.write("list.csv", PLAIN)
    desk.take(path, load=True)
    with pytest.raises(UsageError, match="no region"):
        desk.take(path, region="IN")


def test_a_campaign_of_other_rules_of_identity_is_refused(desk: Desk):
    """Who is who could change."""
    path = desk.write("list.csv", PLAIN)
    desk.take(path, load=True)
    with desk.ledger.connect() as connection:
        connection.exec_driver_sql("UPDATE scopes SET identity_version = 99")
    with pytest.raises(LedgerVersion, match="version 99"):
        desk.take(path)


# ── columns ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_mapping_that_was_told_once_holds_for_the_campaign(desk: Desk):
    """`--map` need not be given again."""
    path = desk.write("list.csv", "Contact,Kind\n919000000001,415446\n")
    first = desk.take(path, map=["mobile=Contact", "series_id=Kind"], load=True)
    assert first.mapping == {"Contact": "mobile", "Kind": "series_id"}
    assert desk.take(path).mapping == first.mapping
    with pytest.raises(InputRefused):
        desk.take(path, campaign="June")


def test_a_heading_that_meant_something_else_is_refused(desk: Desk):
    """In this campaign, or in another file of the run."""
    desk.take(
        desk.write("list.csv", "mobile,Number,series_id\n919000000001,3,415446\n"), map=["count=Number"], load=True
    )
    swapped = desk.write("swapped.csv", "mobile,Number,series_id\n919000000001,415446,2\n")
    with pytest.raises(UsageError, match="in this campaign so far"):
        desk.take(swapped, map=["series_id=Number", "count=series_id"])


def test_several_files_may_have_different_columns(desk: Desk):
    """Each is read by its own headings; together they are one run."""
    one = desk.write("one.csv", "mobile,series_id\n919000000001,415446\n")
    two = desk.write("two.csv", "Qty;Series;Phone\n2;535521;919000000002\n3;415446;919000000003\n")
    intake = desk.take(one, two)
    assert [(file["name"], file["rows"]) for file in intake.files] == [("one.csv", 1), ("two.csv", 2)]
    assert intake.files[1]["roles"] == {"Phone": "mobile", "Series": "series_id", "Qty": "count"}
    assert desk.rows == 3


def test_problems_of_all_files_are_reported_together(desk: Desk):
    """With the file's name before each."""
    one = desk.write("one.csv", "name,series_id\nA,415446\n")
    two = desk.write("two.csv", "mobile,phone,series_id\n1,2,415446\n")
    with pytest.raises(InputRefused) as caught:
        desk.take(one, two)
    assert "one.csv: " in caught.value.message
    assert "two.csv: " in caught.value.message


def test_a_column_that_nobody_explained_is_said_and_not_used(desk: Desk):
    """A customer id is not an externalId until somebody says so."""
    intake = desk.take(desk.write("list.csv", "mobile,Customer ID,series_id\n919000000001,X1,415446\n"))
    assert any("Customer ID" in note and "--map" in note for note in intake.notes)


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_files_with_identical_bytes_are_read_once_and_it_is_said(desk: Desk):
    """A copy under another name is no second list."""
    one, two = desk.write("one.csv", PLAIN), desk.write("copy of one.csv", PLAIN)
    intake = desk.take(one, two)
    assert desk.rows == 2
    assert len(intake.files) == 1
    assert any("copy of one.csv" in note and "read once" in note for note in intake.notes)


def test_an_empty_file_beside_others_is_said_and_alone_is_refused(desk: Desk):
    """No rows at all is nothing that a run could be about."""
    empty, full = desk.write("empty.csv", "mobile,series_id\n"), desk.write("full.csv", PLAIN)
    intake = desk.take(empty, full)
    assert desk.rows == 2
    assert any("empty.csv" in note for note in intake.notes)
    with pytest.raises(InputRefused, match=r"empty\.csv"):
        desk.take(empty)


def test_reading_changes_nothing_in_the_ledger(desk: Desk):
    """Not even the campaign is created."""
    desk.take(desk.write("list.csv", PLAIN))
    assert find_scope(desk.ledger, desk.org, "May") is None


def test_defaults_of_series_and_count_reach_the_rows(desk: Desk):
    """`--series` and `--count` where the file has no such column."""
    desk.take(desk.write("list.csv", "mobile\n919000000001\n"), series=["415446", "535521"], count=3, load=True)
    with desk.ledger.connect() as connection:
        assert connection.exec_driver_sql("SELECT series, target FROM orders ORDER BY series").all() == [
            (415446, 3),
            (535521, 3),
        ]


# ── mobiles with and without country code ────────────────────────────────────────────────────────────────────────────

MIXED = "mobile,series_id\n919000000001,415446\n9000000001,415446\n919000000002,415446\n"


def test_mobiles_with_and_without_country_code_need_a_region_when_nobody_is_there(desk: Desk):
    """The first two rows are one customer, who would get everything twice."""
    with pytest.raises(UsageError, match="2 of the mobiles begin with the country code 91 and 1 seems to lack it") as e:
        desk.take(desk.write("list.csv", MIXED))
    assert e.value.add_flags == ("--region", "IN")
    desk.take(desk.write("list.csv", MIXED), region="IN", load=True)
    assert len(desk.orders) == 2


def test_over_several_files_they_need_a_region_too(desk: Desk):
    """One customer may be in both."""
    two = [desk.write("a.csv", PLAIN), desk.write("b.csv", "mobile,series_id\n9000000001,415446\n")]
    with pytest.raises(UsageError, match="country code 91"):
        desk.take(*two)


def test_a_person_is_asked_for_the_country_of_mobiles_without_code(desk: Desk):
    """The input is read again with the answer, which the printed command then has as well."""
    intake = desk.take(desk.write("list.csv", MIXED), present=True, load=True)
    ((question, suggestion),) = desk.asked
    assert "would be two people" in question
    assert suggestion == "IN"
    assert (intake.region, intake.asked) == ("IN", {"region": "IN"})
    assert (desk.rows, len(desk.orders)) == (3, 2)


def test_a_person_may_take_them_as_they_stand_which_is_said_first_and_recorded(desk: Desk):
    """Some lists are really of two countries."""
    desk.answer = "none"
    intake = desk.take(desk.write("list.csv", MIXED), present=True, load=True)
    assert intake.region is None
    assert "taken as they stand" in intake.first[-1]
    assert {"what": "mixed_mobiles"} in intake.overrides
    assert len(desk.orders) == 3


def test_an_answer_that_is_no_country_is_refused(desk: Desk):
    """Nothing is guessed from it."""
    desk.answer = "XX"
    with pytest.raises(UsageError, match="'XX' is not a region"):
        desk.take(desk.write("list.csv", MIXED), present=True)


def test_a_campaign_that_began_so_goes_on_so_and_it_is_said_first(desk: Desk):
    """Another reading would take its customers for others, and issue to them again."""
    desk.take(desk.write("list.csv", "mobile,series_id\n9000000001,415446\n"), load=True)
    intake = desk.take(desk.write("more.csv", MIXED))
    assert intake.region is None
    assert "taken as they stand" in intake.first[-1]
