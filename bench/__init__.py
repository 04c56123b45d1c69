"""What we measure, as ratios to floors in one run on one machine: ``python -m bench``. docs/bench.md says how floors are made."""
