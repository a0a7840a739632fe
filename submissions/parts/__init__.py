"""What submissions are put together from: schedules, clipping, weight averages, spaces."""
