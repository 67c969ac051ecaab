"""Files read within bounds and written whole or not at all; text, JSON and arrays in them."""
