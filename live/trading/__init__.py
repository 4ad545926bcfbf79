"""From a closed bar to an order, and from what the terminal reports to what is booked."""
