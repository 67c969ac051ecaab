"""Cross-correlation: the planner, the engines, and the one door to them.

A new engine is a file with a class like `gemm.Gemm`, a line in `correlate.ENGINES`, and in `plan`
its cost and the problems that it can do; the tests hold all of that table against plain loops.
"""
