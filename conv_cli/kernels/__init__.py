"""Kernels: what they are, the built-in ones, and how they are named, read and written."""
