"""What things cost: benchmarks, run by hand. They print figures and assert none."""
