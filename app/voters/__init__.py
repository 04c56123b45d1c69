"""The roll: DP4 intake, search, reading a voter, elections and stages."""
