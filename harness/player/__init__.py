"""What runs beside a submission's code, in the process that trains, and the memory it shares with the referee."""
