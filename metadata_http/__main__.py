"""`metadata-http --config-file FILE`: argv -> settings -> serve."""

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from metadata_http import events, ovsdb, server, wsgi
from metadata_http.controller import BadFile
from metadata_http.followed import controllers_tls
from metadata_http.settings import Settings, SettingsError, load
from metadata_http.supervision import Manager
from ovs_metadata_logs import Logs, say
from ovs_metadata_logs.outlet import Descriptor

log = logging.getLogger("metadata_http")


def parser() -> argparse.ArgumentParser:
    """The command line; the manual page is made from it."""
    made = argparse.ArgumentParser(
        prog="metadata-http",
        description="Answers droplets at 169.254.169.254: each gets its own metadata, known by the "
        "switch port it asks from. What there is to answer comes from the controller, and is "
        "kept for while that is away.",
        epilog="Exit status: 0 stopped as asked, 1 failed while starting or running, 2 wrong usage "
        "or settings.",
    )
    made.add_argument(
        "--config-file",
        type=Path,
        metavar="FILE",
        help="Where the options are, in [metadata_http]; without it all are as by default.",
    )
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the metadata server; the exit status, as `parser` tells it."""
    options = parser().parse_args(arguments)
    try:
        settings = load(options.config_file)
        controllers_tls(settings)  # What is wrong with its files is told before a worker starts.
    except (SettingsError, BadFile) as fault:
        print(f"metadata-http: {fault}", file=sys.stderr)
        return 2
    logs = Logs(settings.log_format)
    logs.to("stderr", Descriptor(sys.stderr.fileno()))
    logging.getLogger().setLevel(settings.log_level.upper())
    logs.take_over()
    manager = Manager()
    try:
        dpid = settings.dpid or ovsdb.wait_for_dpid(
            settings.bridge, settings.ovsdb, manager.wait_for
        )
        say(log, events.SERVING, dpid=dpid)
        service, start = wsgi.service, _starter(settings, dpid)

        def stop() -> None:
            service.stop()
            logs.finish()  # A worker ends without what is registered for a process's end.

        server.serve(settings, start, stop, service.stopping, service.is_sure, manager)
    except (OSError, ovsdb.NoOvsVsctl) as fault:
        say(log, events.CANNOT_SERVE, reason=fault)
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


def _starter(settings: Settings, dpid: str) -> Callable[[], Callable]:
    def start() -> Callable:
        wsgi.service.start(settings, dpid)
        return wsgi.application

    return start


if __name__ == "__main__":
    sys.exit(main())
