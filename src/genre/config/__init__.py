"""Configs: from YAML to a checked experiment and back. Knows which classes there are, not the order of the steps."""
