"""`python -m registry_mesh` is the console script."""

from registry_mesh.cli.main import main

if __name__ == "__main__":
    main()
