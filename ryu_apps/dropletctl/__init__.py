"""The operator's side: the command `dropletctl`.

Shell, apart from `host/plan.py`. The controller is reached by REST (but for `restore`), through
the public client `ovs_metadata_client`; the host by its own tools.
"""
