"""A PyTorch checkpoint in, a verified bundle out. The only folder but training that needs torch."""
