"""How much a failure should weigh, and why."""
