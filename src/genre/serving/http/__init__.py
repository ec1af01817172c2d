"""HTTP around the service: routes, JSON schemas, checks, metrics and the page. Knows nothing about recommending."""
