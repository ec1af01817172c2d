"""What the lists that users saw led to: experiments between runs, and judging one run by the lists of another."""
