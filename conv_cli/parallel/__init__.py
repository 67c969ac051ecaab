"""Threads, processes, and the memory that they share."""
