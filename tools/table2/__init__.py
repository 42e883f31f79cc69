"""Table 2 of the paper: what each peer costs, and the table."""
