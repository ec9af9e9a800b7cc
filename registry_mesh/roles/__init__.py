"""What differs between origin, replica and site."""
