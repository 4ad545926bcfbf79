"""From features to a decision: forecasts, candidates, filters, scores, size, breakers, and decide() that composes them."""
