"""What is known of one account, and how it comes back after a restart: orders, trades, risk. Nothing here decides or sends."""
