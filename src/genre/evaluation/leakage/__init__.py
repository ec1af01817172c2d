"""The leakage audit: finds what in a split already knows the test. Does not know how runs are made."""
