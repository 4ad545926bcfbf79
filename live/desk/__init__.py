"""One account's desk: what each message, each command and each look at the clock sets going, in order."""
