"""Evaluation: metrics, tests, leaderboards, tuning, leakage audit and reports. Does not know runs or serving."""
