"""The values that every room shares: datasets, histories, ids, folds. Knows nothing about files, models or serving."""
