"""One customer base under two organisations' names would be issued everything twice: noticed by the credentials."""

from __future__ import annotations

from tests.acceptance.desk import mobile

ROWS = [f"{mobile(1)},415446,1", f"{mobile(2)},415446,2"]
OTHER = {"COUPON_RUNNER_API_USER": "till.other", "COUPON_RUNNER_API_PASSWORD": "another-word"}


def test_a_second_org_behind_the_same_credentials_is_refused_unless_told(desk):
    """At `init`, which changes nothing then, at `plan` and at `run`; what somebody said is recorded, and asked once."""
    with desk.serving() as server:
        desk.init(server)
        words = [desk.write("list.csv", ROWS), "--campaign", "c"]
        cap = ["--yes", "--max-coupons", "9", "--reports", "csv"]
        desk.run("run", *words, *cap)
        settings = desk.folder / "config" / "coupon-runner" / "settings.toml"
        before = settings.read_bytes()
        second = ["init", "--org", "beta", "--api-url", server.url]
        refused = desk.run(*second, expect=2)
        assert "where the customers of acme were issued coupons" in refused.last_line
        assert "--org acme" in refused.last_line
        assert settings.read_bytes() == before
        unknown = {"COUPON_RUNNER_API_USER": "", "COUPON_RUNNER_API_PASSWORD": ""}
        desk.run(*second, **unknown)  # without credentials nothing can be told yet
        for command in (["plan", *words], ["run", *words, *cap]):
            assert "acme" in desk.run(*command, "--org", "beta", expect=2).last_line
        assert server.issued() == 3
        told = desk.issue("run", *words, *cap, "--org", "beta", "--same-api")
        assert [one["what"] for one in told.summary["overrides"]] == ["same_api"]
        desk.run("run", *words, *cap, "--org", "beta")
        desk.run("run", *words, *cap)
        assert server.issued() == 6


def test_another_org_on_the_same_host_with_credentials_of_its_own_is_no_question(desk):
    """Many organisations share an address."""
    with desk.serving() as server:
        desk.init(server)
        words = ["run", desk.write("list.csv", ROWS), "--campaign", "c", "--yes", "--max-coupons", "9"]
        desk.run(*words, "--reports", "csv")
        desk.run("init", "--org", "beta", "--api-url", server.url, **OTHER)
        desk.run(*words, "--org", "beta", "--reports", "csv", **OTHER)
        assert server.issued() == 6
