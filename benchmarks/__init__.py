"""Figures, measured side by side in one run: `make bench`. Ratios, since machines differ."""
