"""Every record of the journal: what each says, by the part of the operation it is about."""
