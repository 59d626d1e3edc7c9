"""Reading a truth file, with or without a running server: what tests hold against everyone else's books."""

from __future__ import annotations

import sqlite3
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Evidence = dict[str, Any]


def read_truth(path: Path, *, summary: bool = False) -> Evidence:
    """The whole truth, or only its totals; the shape is described in docs/sandbox.md.

    May be called while a server writes to the file.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no truth file")
    db = sqlite3.connect(path, isolation_level=None, timeout=10)
    try:
        db.execute("PRAGMA query_only=1")
        db.execute("BEGIN")  # one snapshot for all that follows
        return {"totals": _totals(db)} if summary else _everything(db)
    finally:
        db.close()


def held_by_identifier(evidence: Evidence) -> dict[str, dict[int, int]]:
    """``{"mobile:919000000001": {415446: 2}}``: coupons issued to a customer (revoked ones too), by series."""
    return {
        name: {int(series): entry["issued"] for series, entry in evidence["customers"][str(owner)]["series"].items()}
        for name, owner in evidence["identifiers"].items()
    }


def keys_seen_again(evidence: Evidence) -> dict[str, int]:
    """Call keys that arrived in more than one POST, with how often."""
    return {key: times for key, times in evidence["calls"].items() if times > 1}


def _totals(db: sqlite3.Connection) -> Evidence:
    def one(query: str) -> Any:
        return db.execute(query).fetchone()[0]

    keys = _keys(db)
    return {
        "customers": one("SELECT count(*) FROM customers"),
        "coupons": one("SELECT count(*) FROM coupons"),
        "revoked": one("SELECT count(*) FROM coupons WHERE revoked_ms IS NOT NULL"),
        "redeemed": one("SELECT count(*) FROM coupons WHERE redeemed_ms IS NOT NULL"),
        "posts": one("SELECT count(*) FROM posts"),
        "posts_without_key": one(
            "SELECT count(*) FROM posts WHERE coalesce(request_id, '')='' AND coalesce(source_id, '')=''"
        ),
        "keys": len(keys),
        "keys_seen_again": sum(1 for times in keys.values() if times > 1),
        "revokes_without_codes": (
            db.execute("SELECT value FROM progress WHERE scope='revokes_without_codes'").fetchone() or (0,)
        )[0],
        "overlaps": one("SELECT count(*) FROM posts WHERE fault='overlap'"),
        "issued_by_series": {str(n): issued for n, issued in db.execute("SELECT id, issued FROM series ORDER BY id")},
        "posts_by_fault": {
            fault or "": n for fault, n in db.execute("SELECT fault, count(*) FROM posts GROUP BY fault ORDER BY fault")
        },
    }


def _keys(db: sqlite3.Connection) -> Counter[str]:
    keys: Counter[str] = Counter()
    for request_id, source_id in db.execute("SELECT request_id, source_id FROM posts"):
        keys.update({key for key in (request_id, source_id) if key})
    return keys


def _moment(ms: int | None) -> str | None:
    if ms is None:
        return None
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _everything(db: sqlite3.Connection) -> Evidence:
    customers: dict[str, Evidence] = {
        str(n): {"identifiers": {}, "series": {}} for (n,) in db.execute("SELECT id FROM customers ORDER BY id")
    }
    owners: dict[str, int] = {}
    for kind, value, owner in db.execute("SELECT kind, value, customer_id FROM identifiers ORDER BY kind, value"):
        customers[str(owner)]["identifiers"].setdefault(kind, []).append(value)
        owners[f"{kind}:{value}"] = owner
    rows = db.execute(
        "SELECT c.id, c.code, c.series_id, c.customer_id, coalesce(p.source_id, p.request_id), c.post, c.created_ms,"
        " c.revoked_ms, c.redeemed_ms FROM coupons c LEFT JOIN posts p ON p.n=c.post ORDER BY c.id"
    )
    for coupon_id, code, series, owner, call, post, created, revoked, redeemed in rows:
        entry = customers[str(owner)]["series"].setdefault(str(series), {"issued": 0, "held": 0, "coupons": []})
        entry["issued"] += 1
        entry["held"] += revoked is None
        entry["coupons"].append(
            {
                "couponId": coupon_id,
                "code": code,
                "call": call,
                "post": post,
                "created": _moment(created),
                "revoked": _moment(revoked),
                "redeemed": _moment(redeemed),
            }
        )
    names = ("post", "request_id", "source_id", "who", "series", "asked", "at", "fault", "status", "codes", "issued",
             "resent")  # fmt: skip
    posts = []
    for row in db.execute(
        "SELECT n, request_id, source_id, who, series_id, asked, at_ms, fault, status, codes, issued, resent"
        " FROM posts ORDER BY n"
    ):
        post = dict(zip(names, row, strict=True))
        post["at"] = _moment(post["at"])
        post["codes"] = post["codes"].split(",") if post["codes"] else []
        posts.append(post)
    return {
        "totals": _totals(db),
        "customers": customers,
        "identifiers": owners,
        "calls": dict(_keys(db)),
        "posts": posts,
    }
