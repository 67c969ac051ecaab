"""Other image tools' kernels: each tool's own meaning, read from and written to its own syntax."""
