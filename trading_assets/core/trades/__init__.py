"""What becomes of decisions: the life of orders and trades, their outcomes, labels, and the ledger."""
