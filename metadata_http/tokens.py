"""The tokens file's form: lines `ROLE TOKEN [DPID]`. Pure: text in, a token out."""


def token_for(text: str, dpid: str) -> str | None:
    """The token a metadata server of bridge `dpid` should use, or None.

    The narrowest wins: a `server` token of this bridge, one of any bridge, then an `admin` token.
    """
    best: tuple[int, str] | None = None
    for line in text.splitlines():
        role, token, *rest = [*line.split("#")[0].split(), "", ""]
        bound = rest[0] if rest else ""
        rank = {("server", dpid): 0, ("server", ""): 1, ("admin", ""): 2}.get((role, bound.lower()))
        if rank is not None and token and (best is None or rank < best[0]):
            best = (rank, token)
    return None if best is None else best[1]
