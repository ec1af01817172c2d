"""The event log and what is counted from it. Knows ids of users and items, nothing about recommenders or HTTP."""
