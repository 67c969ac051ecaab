"""Kernels: what they are, the built-in ones, and how they are named, read and written.

`spec` reads what a user types, by the readers in `catalogue` (built-ins), `formats` (files) and
`tools` (other programs' languages); all make a `kernel.Kernel`.

A new family of built-ins is one file: a function from parameters to weights, its docstring opening
with the summary, and above it the table entry that names it, ``@family("name", number(…), …)``;
`catalogue` lists the files. Matrices without parameters are registered by ``fixed``. Listing,
parsing, help and errors come from the entry.
"""
