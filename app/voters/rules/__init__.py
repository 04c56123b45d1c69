"""Pure rules of the roll: what a row must be, what may only warn, and how each reason reads. Neither web nor database."""
