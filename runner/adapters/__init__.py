"""One module for each thing outside: the API, the ledger, spreadsheets, report files, the clock.

They decide nothing.
"""
