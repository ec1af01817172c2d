"""Language models behind one ledger: providers, budgets, prompts, checked answers. Knows nothing about recommending."""
