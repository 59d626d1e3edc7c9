"""The tables of the ledger, and their version.

Columns marked *erasable* hold personal data in clear and may be set to NULL at any time: nothing that protects against
issuing twice reads them. What must last (names, coupon ids) stands beside them as keyed hashes (`key.py`).
Times are seconds since the epoch, UTC (REAL).
"""

from __future__ import annotations

import sqlalchemy as sa

SCHEMA_VERSION = 3
"""Stored in `PRAGMA user_version`. An older ledger migrates on open after a backup; a newer one is refused."""

metadata = sa.MetaData()

meta = sa.Table(
    "meta",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),  # ledger_id, nonce, key_fingerprint, created, rehearsal
    sa.Column("value", sa.Text, nullable=False),
)

orgs = sa.Table(
    "orgs",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("key", sa.Text, nullable=False, unique=True),  # NFC, trimmed, case-folded
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("revision", sa.Integer, nullable=False, server_default="0"),  # grows with each load and abandon
)

scopes = sa.Table(
    "scopes",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("org_id", sa.Integer, sa.ForeignKey("orgs.id"), nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("campaign", sa.Text, nullable=False),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("credentials", sa.Text, nullable=False),  # a fingerprint
    sa.Column("identity_version", sa.Integer, nullable=False),
    sa.Column("identify_by", sa.Text, nullable=False),  # JSON list of kinds
    sa.Column("region", sa.Text),
    sa.Column("mapping", sa.Text, nullable=False),  # JSON: heading -> role
    sa.Column("created", sa.Float, nullable=False),
    sa.UniqueConstraint("org_id", "key"),
)

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),  # the order of runs in time
    sa.Column("name", sa.Text, nullable=False, unique=True),  # the run id that people see
    sa.Column("scope_id", sa.Integer, sa.ForeignKey("scopes.id"), nullable=False),
    sa.Column("state", sa.Text, nullable=False),  # ready, running, stopped, finished, abandoned
    sa.Column("args", sa.Text, nullable=False),  # JSON: resolved options
    sa.Column("files", sa.Text, nullable=False),  # JSON list of {name, sha256, sheet, headers, rows}
    sa.Column("totals", sa.Text, nullable=False),  # JSON: what the plan counted
    sa.Column("started", sa.Float, nullable=False),
    sa.Column("ended", sa.Float),
    sa.Column("exit_code", sa.Integer),
    sa.Column("exit_codes", sa.Text),  # JSON list of all that hold
    sa.Column("reason", sa.Text),  # why it ended or was abandoned
    sa.Column("owner", sa.Text),  # JSON: who runs or ran it: pid, host, user, since
    sa.Column("out", sa.Text),  # folder of its reports
    sa.Column("overrides", sa.Text),  # JSON list: which protections were overridden, by whom, when
)

persons = sa.Table(
    "persons",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("org_id", sa.Integer, sa.ForeignKey("orgs.id"), nullable=False),
    sa.Column("name", sa.LargeBinary, nullable=False),  # keyed hash of the identifier first sent
    sa.Column("merged_into", sa.Integer),
    sa.Column("forgotten", sa.Float),  # when she was erased: never issued to again, in any campaign
)

identity = sa.Table(
    "identity",
    metadata,
    sa.Column("org_id", sa.Integer, primary_key=True),
    sa.Column("hash", sa.LargeBinary, primary_key=True),  # keyed hash of kind and canonical value
    sa.Column("person_id", sa.Integer, nullable=False),
    sqlite_with_rowid=False,
)

orders = sa.Table(
    "orders",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("scope_id", sa.Integer, sa.ForeignKey("scopes.id"), nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("series", sa.Integer, nullable=False),
    sa.Column("person_id", sa.Integer, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("value", sa.Text),  # erasable: as sent
    sa.Column("target", sa.Integer, nullable=False),
    sa.Column("issued", sa.Integer, nullable=False, server_default="0"),
    sa.Column("held", sa.Integer, nullable=False, server_default="0"),
    sa.Column("calls", sa.Integer, nullable=False, server_default="0"),  # number of the newest call
    sa.Column("closed", sa.Text),  # code: asked no more in run_id; `resent` and `forgotten` for good
    sa.Column("merged_into", sa.Integer),  # the order that survived: one person under two names
    sa.Column("run_id", sa.Integer),  # the newest run that loaded it
    sa.Column("others", sa.Text),  # erasable: JSON list of [kind, value as sent] that may name her instead, in order
    sa.Column("tried", sa.Text),  # JSON list of the kinds by which the API did not know her; NULL: sent by the first
    sa.UniqueConstraint("scope_id", "key"),
    sa.CheckConstraint("issued >= 0 AND held >= 0 AND target >= 0"),
)
sa.Index("orders_person", orders.c.person_id, orders.c.series)
sa.Index(
    "orders_open",
    orders.c.run_id,
    orders.c.series,
    orders.c.id,
    sqlite_where=sa.text("closed IS NULL AND target > issued + held"),
)

rows = sa.Table(
    "rows",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("run_id", sa.Integer, nullable=False),
    sa.Column("file", sa.Integer, nullable=False),  # number of the file in runs.files
    sa.Column("sheet", sa.Text, nullable=False),
    sa.Column("row", sa.Integer, nullable=False),
    sa.Column("cells", sa.Text),  # erasable: JSON list of texts
    sa.Column("problems", sa.Text),  # erasable: JSON list of [column, value, message]; NULL when the row is valid
    sa.Column("rejected", sa.Integer, nullable=False, server_default="0"),
    sa.Column("series_text", sa.Text, nullable=False, server_default=""),  # rejected rows: what the run would have used
    sa.Column("count_text", sa.Text, nullable=False, server_default=""),
)
sa.Index("rows_run", rows.c.run_id, rows.c.id)

lines = sa.Table(
    "lines",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("run_id", sa.Integer, nullable=False),
    sa.Column("row_id", sa.Integer, nullable=False),
    sa.Column("order_id", sa.Integer, nullable=False),
    sa.Column("requested", sa.Integer, nullable=False),  # what this line asks of the order (its share of the target)
    sa.Column("target", sa.Integer, nullable=False),  # the order's target as this run loaded it
    sa.Column("before", sa.Integer, nullable=False),  # issued by earlier runs when this run was loaded
    sa.Column("counted", sa.Integer, nullable=False),  # the row prints a count
    sa.Column("role", sa.Text, nullable=False),  # first, duplicate, added, elsewhere (overlap skipped)
    sa.Column("same_as", sa.Integer),  # row_id of the row that a duplicate repeats
    sa.Column("note", sa.Text),  # elsewhere: campaign and run; target below issued; and the like
)
sa.Index("lines_run", lines.c.run_id, lines.c.row_id)
sa.Index("lines_order", lines.c.order_id)

calls = sa.Table(
    "calls",
    metadata,
    # The key is made of the order's key, the number and the ledger's nonce, so these two are as unique as the key, and,
    # unlike it, near each other for calls made near each other: no page in another place for each begin and settle.
    sa.Column("order_id", sa.Integer, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("run_id", sa.Integer, nullable=False),
    sa.Column("quantity", sa.Integer, nullable=False),
    sa.Column("state", sa.Text, nullable=False),  # core.model.CallState
    sa.Column("known", sa.Integer, nullable=False, server_default="0"),  # new coupons known to be issued by it
    sa.Column("held", sa.Integer, nullable=False),  # what it may have issued beyond those
    sa.Column("began", sa.Float, nullable=False),
    sa.Column("ended", sa.Float),
    sa.Column("seconds", sa.Float),
    sa.Column("http", sa.Integer),
    sa.Column("code", sa.Text),  # principal code
    sa.Column("class", sa.Text),  # core.model.CodeClass of the principal code
    sa.Column("scope", sa.Text),  # core.model.Scope of the principal code
    sa.Column("codes", sa.Text),  # JSON list of all codes
    sa.Column("message", sa.Text),  # erasable
    sa.Column("flags", sa.Text),  # JSON list, NULL when empty
    sa.Column("request_id", sa.Text),
    sa.CheckConstraint("quantity BETWEEN 1 AND 500 AND held >= 0 AND held <= quantity"),
    sa.CheckConstraint("instr(key, '-' || number || '-') > 0"),
    sqlite_with_rowid=False,
)
sa.Index("calls_unsettled", calls.c.run_id, sqlite_where=sa.text("state IN ('sending', 'in_doubt')"))

coupons = sa.Table(
    "coupons",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("call_key", sa.Text, nullable=False),
    sa.Column("order_id", sa.Integer, nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("coupon_id", sa.Text),  # erasable
    sa.Column("code", sa.Text),  # erasable
    sa.Column("hash", sa.LargeBinary, nullable=False),  # keyed hash of the coupon id (of the code when there is no id)
    sa.Column("state", sa.Text, nullable=False),  # issued, resent, repeated; later: revoked, redeemed, replaced
    sa.Column("replaced_by", sa.Integer),  # the run that asked again for what was revoked: from then on it never counts
)
sa.Index("coupons_order", coupons.c.order_id)
sa.Index("coupons_hash", coupons.c.hash)
sa.Index("coupons_revoked", coupons.c.order_id, sqlite_where=sa.text("state = 'revoked'"))
sa.Index("coupons_replaced", coupons.c.order_id, sqlite_where=sa.text("replaced_by IS NOT NULL"))

closures = sa.Table(
    "closures",
    metadata,
    sa.Column("run_id", sa.Integer, primary_key=True),
    sa.Column("order_id", sa.Integer, primary_key=True),
    sa.Column("code", sa.Text, nullable=False),
    sa.Column("message", sa.Text),  # erasable
    sqlite_with_rowid=False,
)

series_states = sa.Table(
    "series_states",
    metadata,
    sa.Column("run_id", sa.Integer, primary_key=True),
    sa.Column("series", sa.Integer, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),  # open, parked, closed, exhausted
    sa.Column("code", sa.Text),
    sa.Column("message", sa.Text),
    sa.Column("since", sa.Float, nullable=False),
    sqlite_with_rowid=False,
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True),  # one link for each batch of the writer
    sa.Column("run_id", sa.Integer),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("body", sa.Text, nullable=False),  # JSON; keyed hashes instead of personal data
    sa.Column("hash", sa.LargeBinary, nullable=False),  # over the hash before it, seq, at and body
)

evidence = sa.Table(
    "evidence",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("order_id", sa.Integer, nullable=False),  # with `number`: the call that was settled or left in doubt
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("by", sa.Text, nullable=False),  # core.model.Source: read, person
    sa.Column("method", sa.Text, nullable=False),  # metadata, window, word
    sa.Column("verdict", sa.Text, nullable=False),  # the call's state afterwards
    sa.Column("found", sa.Integer, nullable=False),  # coupons of the call that were seen or told
    sa.Column("why", sa.Text, nullable=False),  # one sentence: the proof, or what it lacks
    sa.Column("who", sa.Text),  # JSON: user, host and pid of a person's word
    sa.Column("seen", sa.Text),  # erasable: JSON of what the reads showed
)
sa.Index("evidence_call", evidence.c.order_id, evidence.c.number)

api_facts = sa.Table(
    "api_facts",
    metadata,
    sa.Column("url", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),  # lag_seconds, skew_seconds, metadata_shown
    sa.Column("value", sa.Text, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
    sqlite_with_rowid=False,
)

lost_heads = sa.Table(
    "lost_heads",
    metadata,
    # Links of a history that an older copy took the place of, as witness and reports knew it, once `recover` is done.
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("hash", sa.LargeBinary, primary_key=True),
    sa.Column("at", sa.Float, nullable=False),
    sqlite_with_rowid=False,
)

recovered = sa.Table(
    "recovered",
    metadata,
    # Customers whose coupons a recovery that is under way has read back; empty when none is.
    sa.Column("person_id", sa.Integer, primary_key=True),
    sa.Column("at", sa.Float, nullable=False),
)

revocations = sa.Table(
    "revocations",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("key", sa.Text, nullable=False, unique=True),  # what its request was named
    sa.Column("run_id", sa.Integer, nullable=False),  # the run that received the coupons
    sa.Column("series", sa.Integer, nullable=False),
    sa.Column("state", sa.Text, nullable=False),  # sending, done, refused, in_doubt
    sa.Column("quantity", sa.Integer, nullable=False),
    sa.Column("began", sa.Float, nullable=False),
    sa.Column("ended", sa.Float),
    sa.Column("http", sa.Integer),
    sa.Column("code", sa.Text),
    sa.Column("message", sa.Text),  # erasable
    sa.Column("request_id", sa.Text),
    sa.CheckConstraint("quantity BETWEEN 1 AND 50"),
)
sa.Index("revocations_unsettled", revocations.c.run_id, sqlite_where=sa.text("state IN ('sending', 'in_doubt')"))

revocation_coupons = sa.Table(
    "revocation_coupons",
    metadata,
    sa.Column("revocation_id", sa.Integer, primary_key=True),
    sa.Column("coupon", sa.Integer, primary_key=True),  # coupons.id
    sa.Column("shown", sa.Integer, nullable=False),  # the read before the POST showed it
    sa.Column("outcome", sa.Text),  # core.undoing.Fate; NULL while it is under way or in doubt
    sa.Column("code", sa.Text),
    sa.Column("message", sa.Text),  # erasable
    sqlite_with_rowid=False,
)
sa.Index(
    "revocation_coupons_open",
    revocation_coupons.c.coupon,
    unique=True,  # never two under way for one coupon
    sqlite_where=sa.text("outcome IS NULL"),
)

control = sa.Table(
    "control",
    metadata,
    # Words to a live run from other processes. What was carried out is in the history, as overrides of the run.
    sa.Column("run_id", sa.Integer, primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("command", sa.Text, nullable=False),  # core.steering.Command
    sa.Column("argument", sa.Text, nullable=False, server_default=""),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("by", sa.Text, nullable=False),  # JSON: user, host and pid of who gave it
    sa.Column("done_at", sa.Float),
    sa.Column("answer", sa.Text),  # what the run said; NULL with done_at: it was taken back
    sqlite_with_rowid=False,
)
