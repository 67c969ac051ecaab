"""Where a pattern lies in an image: scores of every place, hits, scales and turns."""
