"""What each container client wants written where, so that it pulls through a site."""
