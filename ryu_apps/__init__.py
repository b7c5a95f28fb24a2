"""The Ryu application that brings droplets to their metadata, and the registry behind it."""
