"""Files whole or not at all, and the formats that carry numbers."""
