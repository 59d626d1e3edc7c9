"""coupon-runner: issues coupons from spreadsheets, each exactly once, and accounts for every row."""

__version__ = "0.1.0"
