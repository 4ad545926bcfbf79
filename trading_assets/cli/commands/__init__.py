"""The words of the command line, by what a person wants; each command's work is in a module of `cli`."""
