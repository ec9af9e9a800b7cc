"""What happens at an origin, told to other programs: CloudEvents over HTTP, signed, kept until they are taken."""
