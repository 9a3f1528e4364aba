"""A bundle and audio in, transcripts out: what a device runs."""
