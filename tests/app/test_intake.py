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
from runner.core.planned import Duplicates, Overlap
from runner.core.refs import write_ref
from runner.errors import InputRefused, LedgerVersion, SettingsError, UsageError
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


def test_columns_are_remembered_by_their_headings_once_a_run_was_agreed_to(desk: Desk):
    """In the org's other campaigns too, whatever the order of the columns, and it is said."""
    told = ["mobile=Contact", "series_id=Kind"]
    with pytest.raises(InputRefused, match="No column names the customer"):
        desk.take(desk.write("list.csv", "Contact,Kind\n919000000001,415446\n"))
    desk.take(desk.write("list.csv", "Contact,Kind\n919000000001,415446\n"), map=told, load=True)
    again = desk.take(desk.write("other.csv", "Kind,Contact\n415446,919000000002\n"), campaign="June")
    assert again.mapping == {"Contact": "mobile", "Kind": "series_id"}
    assert any("'Contact' is the mobile" in note and "with the same headings" in note for note in again.notes)
    with pytest.raises(InputRefused, match="No column names the customer"):
        desk.take(desk.write("third.csv", "Kind,Contact,More\n415446,919000000002,x\n"), campaign="June")


def test_what_is_told_now_wins_over_what_is_remembered(desk: Desk):
    """A person may have been wrong, or the file has changed."""
    text = "Contact,Other,Kind\n919000000001,919000000002,415446\n"
    desk.take(desk.write("list.csv", text), map=["mobile=Contact", "series_id=Kind"], load=True)
    again = desk.take(desk.write("list.csv", text), campaign="June", map=["mobile=Other"])
    assert again.mapping == {"Other": "mobile", "Kind": "series_id"}
    ids = desk.take(desk.write("list.csv", text), campaign="June", map=["externalId=Contact"])
    assert ids.mapping == {"Contact": "externalId", "Kind": "series_id"}


CUSTOMER_ID = "Customer ID,series_id\nC-1,415446\n"


def test_a_person_is_asked_whether_a_customer_id_is_the_external_id(desk: Desk):
    """And not again for the same headings; the printed command has the answer."""
    desk.answer = "yes"
    intake = desk.take(desk.write("list.csv", CUSTOMER_ID), present=True, load=True)
    assert "'Customer ID' may be the externalId" in desk.asked[0][0]
    assert (intake.mapping["Customer ID"], intake.asked) == ("externalId", {"map": "externalId=Customer ID"})
    desk.asked.clear()
    again = desk.take(desk.write("list.csv", CUSTOMER_ID), present=True, campaign="June")
    assert (again.mapping["Customer ID"], desk.asked) == ("externalId", [])


def test_a_customer_id_that_nobody_vouches_for_is_no_external_id(desk: Desk):
    """It may be the id of another system: the default answer is no, and without a terminal nobody is asked."""
    for present in (True, False):
        with pytest.raises(InputRefused, match='--map externalId="Customer ID"'):
            desk.take(desk.write("list.csv", CUSTOMER_ID), present=present)
    beside = desk.write("both.csv", "Customer ID,mobile,series_id\nC-1,919000000001,415446\n")
    assert "Customer ID" not in desk.take(beside, present=True).mapping


def test_headings_of_the_settings_mean_what_they_say(desk: Desk):
    """Beside the synonyms that come with the program."""
    path = desk.write("list.csv", "Handset,Kind\n919000000001,415446\n")
    intake = desk.take(path, headings={"mobile": ["hand set"], "series": ["KIND"]})
    assert intake.mapping == {"Handset": "mobile", "Kind": "series_id"}
    with pytest.raises(SettingsError, match="'Handset' is said to be mobile and email"):
        desk.take(path, headings={"mobile": ["hand set"], "email": ["Handset"]})


def test_swapped_columns_are_refused_with_the_candidates(desk: Desk):
    """Before a row is read; nothing is swapped back by itself."""
    rows = "".join(f"customer{n}@example.com,91900000000{n},415446\n" for n in range(1, 5))
    with pytest.raises(
        InputRefused, match=r"'Mobile' is taken for the mobile, but holds addresses.*'Email'"
    ) as refused:
        desk.take(desk.write("list.csv", f"Mobile,Email,series_id\n{rows}"), identify_by="mobile")
    assert '--map mobile="Email"' in str(refused.value)


# ── where the table is ───────────────────────────────────────────────────────────────────────────────────────────────

TITLED = (
    "Diwali list,,\nas of 2026-11-01,,\n,,\nMobile No.,Series,Qty\n919000000001,415446,2\n,,\n919000000002,415446,1\n"
    "Mobile No.,Series,Qty\nTOTAL,,3\nPrepared by: customer desk,,\n"
)


def test_titles_totals_and_notes_are_no_customers_and_listed_as_such(desk: Desk):
    """With true row numbers; the run records what was left out."""
    intake = desk.take(desk.write("list.csv", TITLED), load=True)
    assert (desk.rows, len(desk.orders)) == (2, 2)
    said = "\n".join(intake.notes)
    assert "the headings stand in row 4; above them rows 1, 2 are left out as titles" in said
    assert "row 9 (a total)" in said
    assert "row 8 (the headings once more)" in said
    assert "row 10 (a note, 'Prepared by')" in said
    left_out: Any = intake.files[0]["left_out"]
    assert [what for what, _, _ in left_out] == [
        "the headings once more",
        "a total",
        "a note, 'Prepared by'",
    ]


def test_titles_above_the_headings_do_not_hide_what_separates_the_cells(desk: Desk):
    """A title line has no separator, or other ones."""
    intake = desk.take(desk.write("list.csv", "Customers, all of them\n\nMobile;Series\n919000000001;415446\n"))
    assert (intake.mapping, desk.rows) == ({"Mobile": "mobile", "Series": "series_id"}, 1)


# ── values of whole columns ──────────────────────────────────────────────────────────────────────────────────────────


def test_ids_that_lost_zeros_in_front_are_refused_wherever_they_stand(desk: Desk):
    """A column of one width with some shorter; the first rows are judged like the last ones."""
    text = "external_id,series_id\n1234567,415446\n" + "".join(f"1234567{n},415446\n" for n in range(5))
    desk.take(desk.write("list.csv", text), load=True)
    assert (desk.rows, len(desk.orders)) == (6, 5)
    desk.take(desk.write("list.csv", text), campaign="June", short_ids="accept", load=True)
    assert len(desk.orders) == 11


BOTH_WAYS = "mobile,series_id\n6591234567,415446\n447400123456,415446\n971500000001,415446\n"


def test_mobiles_whose_country_is_not_certain_need_a_format(desk: Desk):
    """6591234567 is one of Singapore, or of India without its code: the others have theirs, so nobody guesses."""
    path = desk.write("list.csv", BOTH_WAYS)
    with pytest.raises(UsageError, match="--phone-format international"):
        desk.take(path, region="IN")
    assert desk.take(path, region="IN", phone_format="international", load=True).phone_format == "international"


def test_a_person_is_asked_how_the_mobiles_are_written(desk: Desk):
    """The input is read again with the answer."""
    desk.answer = "international"
    intake = desk.take(desk.write("list.csv", BOTH_WAYS), region="IN", present=True)
    assert (intake.phone_format, intake.asked["phone_format"], desk.rows) == ("international", "international", 3)


def test_a_column_of_one_country_needs_no_format(desk: Desk):
    """Where all others lack their country code, so does 6591234567; with it written out it is somebody else."""
    text = "mobile,series_id\n6591234567,415446\n9000000001,415446\n+6591234567,415446\n"
    desk.take(desk.write("list.csv", text), region="IN", load=True)
    assert len(desk.orders) == 3


def test_a_count_above_the_most_of_a_row_is_rejected(desk: Desk):
    """An id of a series under the count would be hundreds of thousands of coupons."""
    path = desk.write("list.csv", "mobile,series_id,count\n919000000001,415446,12000\n")
    desk.take(path, load=True)
    assert desk.orders == []
    desk.take(path, campaign="June", max_per_row=12000, load=True)
    assert len(desk.orders) == 1


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


def test_a_person_may_have_them_rejected_which_is_said_first_and_recorded(desk: Desk):
    """Without a region only what is already international passes."""
    desk.answer = "none"
    intake = desk.take(desk.write("list.csv", MIXED), present=True, load=True)
    assert intake.region is None
    assert "those without it are rejected" in intake.first[-1]
    assert {"what": "mixed_mobiles"} in intake.overrides
    assert (desk.rows, len(desk.orders)) == (3, 2)


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
    assert "those without it are rejected" in intake.first[-1]
