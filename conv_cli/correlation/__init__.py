"""Cross-correlation: how kernels slide, the planner, the engines, and the one door to them.

A new engine is a file with a class as `engine.Engine` says, its cost in `costs`, and a line in
`correlate.ENGINES`; the tests hold all of that table against plain loops.
"""
