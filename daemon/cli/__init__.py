"""The command line: a client of the socket that starts quickly, so it imports the standard library only."""
