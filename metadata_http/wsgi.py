"""The plain WSGI callable, `metadata_http.wsgi:application`.

`metadata-http` starts its parts itself. Under another WSGI server name the configuration file in
METADATA_HTTP_CONFIG: importing this module then starts them, in each worker (no preloading).
"""

import os
from pathlib import Path

from metadata_http.service import Service

service = Service()
application = service.application

if config_file := os.environ.get("METADATA_HTTP_CONFIG"):
    from metadata_http import ovsdb, settings

    loaded = settings.load(Path(config_file))
    service.start(loaded, loaded.dpid or ovsdb.wait_for_dpid(loaded.bridge, loaded.ovsdb))
