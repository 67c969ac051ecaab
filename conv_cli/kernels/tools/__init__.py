"""Other image tools' kernels: each tool's own meaning, read from and written to its own syntax.

Readers raise ConvError with the place of what is malformed and what was expected there, writers for
a kernel that the tool cannot hold: the reason alone, which `strings` puts the kernel's name before.
"""
