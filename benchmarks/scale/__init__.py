"""What a cluster costs, and how far it reaches."""
