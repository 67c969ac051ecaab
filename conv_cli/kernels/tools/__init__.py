"""Other image tools' kernels: each tool's own meaning, read from and written to its own syntax.

Readers and writers raise ConvError with the reason alone; `strings` puts the kernel before it.
"""
