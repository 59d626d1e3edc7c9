"""The ledger: the database of every order, call and coupon of every run, on SQLAlchemy Core and SQLite."""
