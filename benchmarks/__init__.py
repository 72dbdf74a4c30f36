"""Every speed that the project claims, measured against a peer in the same run."""
