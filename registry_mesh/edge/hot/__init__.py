"""The fast path: requests for what is held, answered before aiohttp sees them."""
