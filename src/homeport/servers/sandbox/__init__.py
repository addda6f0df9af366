"""Commands of accounts, confined: what SSH gives away, and what any other protocol may."""
