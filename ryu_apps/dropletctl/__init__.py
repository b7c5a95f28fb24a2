"""The operator's side: the command `dropletctl`, and a typed REST client to import.

    from ryu_apps.dropletctl.client import Client

    with Client("http://127.0.0.1:8080", token) as controller:
        controller.put_droplet(7889371, document)

Shell, apart from `host/plan.py`. The controller is reached by REST (but for `restore`), the
host by its own tools.
"""
