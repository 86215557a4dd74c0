"""What a client sends and what it makes of the answers, without doing either: no I/O in here."""
