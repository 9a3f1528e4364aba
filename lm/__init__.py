"""What turns log-probabilities into words: the alphabet and the CTC decoders."""
