"""What things mean. Pure: no clock, no environment, no files, no network, no logging."""
