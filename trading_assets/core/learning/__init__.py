"""What the record teaches: dataset, walk-forward, meta-model, its evaluation, drift and the judgement on it."""
