"""Entry point of `dropletctl` and of `python -m ryu_apps.dropletctl`."""

from ryu_apps.dropletctl.cli import cli


def main() -> None:
    """Run the command line; ends the process with the status that `cli` documents."""
    cli(prog_name="dropletctl")


if __name__ == "__main__":
    main()
