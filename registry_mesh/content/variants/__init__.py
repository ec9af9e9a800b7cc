"""Other forms of images: made once, at the origin that has them, and found as referrers of what they are made of."""
