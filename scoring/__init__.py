"""Records to times, profiles, scores and a leaderboard. Reads records; imports neither torch nor ray."""
