"""The decisions of the product. Pure: no IO, no clock, no chance; both arrive as arguments."""
