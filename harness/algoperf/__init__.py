"""AlgoPerf's published leaderboards: the facts, and the logs as records."""
