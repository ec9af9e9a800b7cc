"""What every room agrees on: shapes of sources and stores, failures. Nobody's walls, nobody's machinery."""
