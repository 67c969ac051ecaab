"""Cross-correlation: the planner, the engines, and the one door to them."""
