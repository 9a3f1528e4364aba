"""Speed, latency and accuracy, each figure a JSON file with its conditions."""
