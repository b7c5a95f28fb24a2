"""What of a port's record readers outside the core may see. Pure."""

from ryu_apps.binding.port import Denied, Phase, PortRecord, Tenant
from ryu_apps.binding.views import PortState, PortView
from ryu_apps.pipeline.addressing import Addressing, OfportOutOfRange


def shown(record: PortRecord, addressing: Addressing, known: PortView | None) -> PortView:
    """The view of `record`; `known` is the one that readers have of its ofport so far."""
    address = known.hv_local_ip if known else _address(addressing, record.ofport)
    published = record.phase in (Phase.ANNOUNCED, Phase.OPENING, Phase.OPEN)
    claim = record.occupant.claim if isinstance(record.occupant, Tenant) else None
    mapped = claim if published else None
    return PortView(
        ofport=record.ofport,
        name=record.port.name if record.port else known.name if known else "",
        hv_local_ip=address,
        droplet_id=mapped.droplet_id if mapped else None,
        state=_state(record),
        reason=_reason(record),
        droplet_revision=mapped.revision if mapped else None,
        binding=known.binding if known and published else None,
        elsewhere=isinstance(record.occupant, Denied) and record.occupant.elsewhere,
    )


def _address(addressing: Addressing, ofport: int) -> str | None:
    try:
        return str(addressing.hv_local(ofport))
    except OfportOutOfRange:
        return None


def _state(record: PortRecord) -> PortState:
    if record.failure is not None or isinstance(record.occupant, Denied):
        return PortState.ERROR
    if not isinstance(record.occupant, Tenant):
        return PortState.UNREGISTERED
    return PortState.SERVING if record.phase is Phase.OPEN else PortState.BINDING


def _reason(record: PortRecord) -> str | None:
    if record.failure is not None:
        return record.failure
    return record.occupant.reason if isinstance(record.occupant, Denied) else None
